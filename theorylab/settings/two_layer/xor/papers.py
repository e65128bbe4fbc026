"""The publications behind XOR clusters."""

from theorylab.contract import Paper

XU = Paper(
    title="Benign Overfitting and Grokking in ReLU Networks for XOR Cluster Data",
    authors="Z. Xu, Y. Wang, S. Frei, G. Vardi and W. Hu",
    year=2024,
    venue="ICLR 2024",
    arxiv="2310.02541",
    bibtex="""@inproceedings{xu2024benign,
  title = {Benign Overfitting and Grokking in {ReLU} Networks for {XOR} Cluster Data},
  author = {Xu, Zhiwei and Wang, Yutong and Frei, Spencer and Vardi, Gal and Hu, Wei},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
}""",
)
HASOFER = Paper(
    title="Exact and Invariant Second-Moment Code Format",
    authors="A. M. Hasofer and N. C. Lind",
    year=1974,
    venue="Journal of the Engineering Mechanics Division 100",
    arxiv="",
    bibtex="""@article{hasofer1974exact,
  title = {Exact and Invariant Second-Moment Code Format},
  author = {Hasofer, Abraham M. and Lind, Niels C.},
  journal = {Journal of the Engineering Mechanics Division},
  volume = {100},
  number = {1},
  pages = {111--121},
  year = {1974},
}""",
)
