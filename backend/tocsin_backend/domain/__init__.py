"""What Tocsin decides. Pure: no I/O, no clock, no random number, nothing imported from the rest of Tocsin."""
