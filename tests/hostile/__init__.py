"""Documents that mean harm: each is made anew, aimed at a listener and a file that nothing may touch."""
