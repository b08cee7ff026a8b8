"""For `make kills`: two logical devices stand for two replicas, and must exist before TensorFlow computes anything."""

import os

import tensorflow as tf

if os.environ.get("TFADGM_ALL_KILLS"):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
