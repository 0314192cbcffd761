"""The tests of faxrelay; a package of its own, for a library of ours installs another `tests`."""
