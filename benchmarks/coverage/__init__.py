"""Simulated measurements with a known truth: does runner.stats keep its word?"""
