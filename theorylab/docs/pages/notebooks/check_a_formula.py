# %% [markdown]
# # Check a formula of your own
#
# Least squares on $n$ noisy samples in $d$ dimensions. A textbook says that noise of variance $\sigma^2$ costs
# $\sigma^2 d/n$. Is that true at $n = 20$, $d = 5$? We write the formula down as a theory, and let a simulation decide.

# %%
import theorylab as tl
from theorylab.contract import theory

tl.configure()  # float64, compile cache
setting = tl.get("estimators")
config = setting.config(dim=5, context_length=20, num_test=500)
data = tl.sweep(setting, config, {"noise_variance": (0.25, 1.0)}, seeds=8)
tl.summary(data)["least_squares_loss"]

# %% [markdown]
# A theory is a function of a key and a configuration, with the observables that it predicts. This one is about the mean
# over data sets (`kind="ensemble"`), and declares no error of its own.


# %%
@theory(kind="ensemble", source="a textbook", predicts=("least_squares_loss",))
def textbook(key, config):
    """σ² + σ² d/n."""
    return {
        "least_squares_loss": config.noise_variance * (1 + config.dim / config.context_length)
    }


tl.compare(setting, data, theories=[textbook])

# %% [markdown]
# Rejected, by many standard errors: $d/n$ is the answer for $n \gg d$. The mean of an inverse Wishart matrix gives
# $d/(n-d-1)$ instead.


# %%
@theory(
    kind="ensemble",
    source="mean of an inverse Wishart matrix",
    predicts=("least_squares_loss",),
)
def wishart(key, config):
    """σ² + σ² d/(n - d - 1)."""
    excess = config.dim / (config.context_length - config.dim - 1)
    return {"least_squares_loss": config.noise_variance * (1 + excess)}


rows = tl.compare(setting, data, theories=[textbook, wishart])
rows

# %% [markdown]
# Could the check have told $d/(n-d)$ from it? If it accepts both it says little.


# %%
@theory(kind="ensemble", source="large matrices", predicts=("least_squares_loss",))
def without_the_one(key, config):
    """σ² + σ² d/(n - d)."""
    return {
        "least_squares_loss": config.noise_variance
        * (1 + config.dim / (config.context_length - config.dim))
    }


tl.table(tl.compare(setting, data, theories=[without_the_one]))
