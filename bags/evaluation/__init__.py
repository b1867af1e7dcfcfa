"""Evaluation of a trained scene: metrics of test views, estimated blur of training views."""
