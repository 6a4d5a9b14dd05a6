"""The data plane: drives Envoy, holds calls while a service wakes, and writes down what was used."""
