"""Agents that play: scripted ends of the scale, known weaknesses, attackers, chat endpoints."""
