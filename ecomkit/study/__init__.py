"""What scores say: statistics, analysis, curricula, and a small learner to try them on."""
