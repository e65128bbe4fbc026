"""The papers of this family."""

from __future__ import annotations

from theorylab.contract import Paper

MAHANKALI = Paper(
    title="One Step of Gradient Descent is Provably the Optimal In-Context Learner with One Layer of "
    "Linear Self-Attention",
    authors="A. Mahankali, T. B. Hashimoto and T. Ma",
    year=2024,
    venue="ICLR 2024",
    arxiv="2307.03576",
    bibtex="""@inproceedings{mahankali2024one,
  title = {One Step of Gradient Descent is Provably the Optimal In-Context Learner with One Layer of Linear Self-Attention},
  author = {Mahankali, Arvind and Hashimoto, Tatsunori B. and Ma, Tengyu},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
}""",  # noqa: E501
)

ZHANG = Paper(
    title="Trained Transformers Learn Linear Models In-Context",
    authors="R. Zhang, S. Frei and P. L. Bartlett",
    year=2024,
    venue="JMLR 25",
    arxiv="2306.09927",
    bibtex="""@article{zhang2024trained,
  title = {Trained Transformers Learn Linear Models In-Context},
  author = {Zhang, Ruiqi and Frei, Spencer and Bartlett, Peter L.},
  journal = {Journal of Machine Learning Research},
  volume = {25},
  year = {2024},
}""",
)

LU = Paper(
    title="Asymptotic theory of in-context learning by linear attention",
    authors="Y. M. Lu, M. Letey, J. A. Zavatone-Veth, A. Maiti and C. Pehlevan",
    year=2025,
    venue="PNAS 122",
    arxiv="2405.11751",
    bibtex="""@article{lu2025asymptotic,
  title = {Asymptotic theory of in-context learning by linear attention},
  author = {Lu, Yue M. and Letey, Mary and Zavatone-Veth, Jacob A. and Maiti, Anindita and Pehlevan, Cengiz},
  journal = {Proceedings of the National Academy of Sciences},
  volume = {122},
  year = {2025},
}""",
)

VON_OSWALD = Paper(
    title="Transformers Learn In-Context by Gradient Descent",
    authors="J. von Oswald, E. Niklasson, E. Randazzo, J. Sacramento, A. Mordvintsev, A. Zhmoginov and M. Vladymyrov",
    year=2023,
    venue="ICML 2023",
    arxiv="2212.07677",
    bibtex=r"""@inproceedings{vonoswald2023transformers,
  title = {Transformers Learn In-Context by Gradient Descent},
  author = {von Oswald, Johannes and Niklasson, Eyvind and Randazzo, Ettore and Sacramento, Jo{\~a}o and Mordvintsev, Alexander and Zhmoginov, Andrey and Vladymyrov, Max},
  booktitle = {International Conference on Machine Learning},
  year = {2023},
}""",  # noqa: E501
)

SADDLES = Paper(
    title="Training Dynamics of In-Context Learning in Linear Attention",
    authors="Y. Zhang, A. K. Singh, P. E. Latham and A. Saxe",
    year=2025,
    venue="ICML 2025",
    arxiv="2501.16265",
    bibtex="""@inproceedings{zhang2025training,
  title = {Training Dynamics of In-Context Learning in Linear Attention},
  author = {Zhang, Yedi and Singh, Aaditya K. and Latham, Peter E. and Saxe, Andrew},
  booktitle = {International Conference on Machine Learning},
  year = {2025},
}""",
)

AHN = Paper(
    title="Transformers learn to implement preconditioned gradient descent for in-context learning",
    authors="K. Ahn, X. Cheng, H. Daneshmand and S. Sra",
    year=2023,
    venue="NeurIPS 2023",
    arxiv="2306.00297",
    bibtex="""@inproceedings{ahn2023transformers,
  title = {Transformers learn to implement preconditioned gradient descent for in-context learning},
  author = {Ahn, Kwangjun and Cheng, Xiang and Daneshmand, Hadi and Sra, Suvrit},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2023},
}""",
)

GARG = Paper(
    title="What Can Transformers Learn In-Context? A Case Study of Simple Function Classes",
    authors="S. Garg, D. Tsipras, P. Liang and G. Valiant",
    year=2022,
    venue="NeurIPS 2022",
    arxiv="2208.01066",
    bibtex="""@inproceedings{garg2022what,
  title = {What Can Transformers Learn In-Context? {A} Case Study of Simple Function Classes},
  author = {Garg, Shivam and Tsipras, Dimitris and Liang, Percy and Valiant, Gregory},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2022},
}""",
)

RAVENTOS = Paper(
    title="Pretraining task diversity and the emergence of non-Bayesian in-context learning for regression",
    authors="A. Raventós, M. Paul, F. Chen and S. Ganguli",
    year=2023,
    venue="NeurIPS 2023",
    arxiv="2306.15063",
    bibtex="""@inproceedings{raventos2023pretraining,
  title = {Pretraining task diversity and the emergence of non-{B}ayesian in-context learning for regression},
  author = {Ravent{\\'o}s, Allan and Paul, Mansheej and Chen, Feng and Ganguli, Surya},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2023},
  eprint = {2306.15063},
  archivePrefix = {arXiv},
}""",
)
