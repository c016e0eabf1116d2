"""A Flask site that says which handler was reached and what it read."""

from flask import Flask, request

application = Flask(__name__)


@application.route("/signup", methods=["GET", "POST"])
def sign_up() -> str:
    return f"SIGNUP {request.method}"


@application.route("/admin/")
def admin() -> str:
    return "ADMIN"


@application.route("/search")
def search() -> str:
    return f"SEARCH {request.args.get('page', type=int)} {request.args.get('page', type=float)}"
