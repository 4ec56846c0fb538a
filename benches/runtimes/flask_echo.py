"""Returns its input as JSON, in Flask."""

from flask import Flask, jsonify, request

app = Flask(__name__)


@app.post("/invoke")
def invoke():
    return jsonify(request.get_json()["input"])
