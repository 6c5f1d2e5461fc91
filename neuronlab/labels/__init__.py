"""What each neuron knows: exemplars, explanations, their simulation, and libraries of labels."""
