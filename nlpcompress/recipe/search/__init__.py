"""Many recipes for one: trials that change some of its values, judged by what must hold."""
