"""Those who play: scripted, closed-form and learned agents of option-arena, one recipe each."""
