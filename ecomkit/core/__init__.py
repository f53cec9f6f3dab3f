"""What all else stands on: records, seeds, errors, difficulty, rewards; no shop and no agent."""
