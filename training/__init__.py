"""How the bundled model `pocket` was made: data, network, training, export, evaluation.

`python -m training.run --music DIR --samples DIR` does all of it. No part of the shipped
package imports from here.
"""
