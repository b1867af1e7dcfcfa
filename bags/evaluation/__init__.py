"""What a trained scene is worth: test views by the metrics, training views by what the network says of them."""
