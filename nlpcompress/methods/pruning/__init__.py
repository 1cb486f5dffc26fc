"""Methods that end in cutting positions of axes: heads, neurons, channels."""
