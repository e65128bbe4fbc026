# %% [markdown]
# # A first sweep
#
# Gradient descent on a product of matrices. The product has more columns than the target's rank, and the error falls
# as $1/t$ for every initialisation. The theory knows the constant.

# %%
import theorylab as tl
from theorylab.verdict.overview import overview
from theorylab.verdict.plotting import style

tl.configure()  # float64, compile cache
setting = tl.get("matrix_sensing")
setting

# %% [markdown]
# A configuration holds the parameters. What is not given has its default.

# %%
config = setting.config(dim=20, target_rank=2, model_rank=4, num_steps=2000)
config

# %% [markdown]
# Two initial scales, eight seeds each: one program, compiled once. The result is an `xarray.Dataset`.

# %%
grid = {"init_scale": (0.3, 0.5)}
data = tl.sweep(setting, config, grid, seeds=8)
tl.summary(data)[["final_error", "tail_constant"]]

# %% [markdown]
# Does theory agree? Each row has both numbers and the tolerance. What does not apply here is folded.

# %%
rows = tl.compare(setting, data)
rows

# %% [markdown]
# The same as a table of pandas, and as LaTeX for a paper.

# %%
tail = tl.compare(setting, data, theories=["universal_tail"])
tl.table(tail)

# %%
print(tl.latex(tail))

# %% [markdown]
# Points are simulation, lines theory.

# %%
case = tl.Case("two initial scales", config, grid, seeds=8)
with style():
    figure = overview(setting, [(case, data)])
figure
