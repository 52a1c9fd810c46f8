"""What a run keeps: its folder, played games, estimates over games, the console."""
