"""How far theories are from simulations over the whole range in which they say that they hold."""
