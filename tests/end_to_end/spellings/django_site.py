"""A Django site that says which handler was reached and what it read."""

import django
from django.conf import settings

settings.configure(
    DEBUG=False,
    SECRET_KEY="not a secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 - Django has to be set up first
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path, re_path  # noqa: E402


def sign_up(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"SIGNUP {request.method}")


def admin(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ADMIN")


def search(request: HttpRequest) -> HttpResponse:
    try:
        page = int(request.GET.get("page", ""))
    except ValueError:
        page = None
    return HttpResponse(f"SEARCH {page}")


urlpatterns = [path("signup", sign_up), re_path(r"^admin/?$", admin), path("search", search)]
application = get_wsgi_application()
