"""Everything known of the third party that is not configuration: routes, headers, texts, keys.

Composer publishes no documentation; these are observations. When Composer changes, this module changes.
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

# --- web application -------------------------------------------------------------------------------

#: In the route that logs in; what follows it holds the token.
LOGIN_MARK = "auth-with-token"
LOGIN_ROUTE = "/#/embed/" + LOGIN_MARK + "/{language}/home/{project_uid}/{token}"
EDITOR_ROUTE = "/#/embed/composer/{uid}"
#: On the page after a successful login. With a bad token the page stays blank.
HOME_BUTTON = "Nova composição"
#: Shown where a composition has no title.
UNTITLED = "Sem título"
#: localStorage: the working copy of the open composition.
WORKING_COPY_KEY = "rdp-composer-data"
#: Whether the widgets of the working copy are those with the ids ``ids``, in order.
WORKING_COPY_IS = """([key, ids]) => {
    const widgets = JSON.parse(localStorage.getItem(key) ?? "null")?.structure ?? [];
    const found = widgets.map(w => w?.id).filter(id => typeof id === "string");
    return JSON.stringify(found) === JSON.stringify(ids);
}"""

#: What a page remembers of its login stands in localStorage and in cookies.
READ_STORAGE = "() => Object.entries(localStorage).map(([name, value]) => ({name, value}))"
WRITE_STORAGE = "items => items.forEach(({name, value}) => localStorage.setItem(name, value))"
#: How long Composer may need to go on with a restored login before it is logged in anew: in the page as it
#: stands, and after the page was loaded again.
AT_ONCE_SECONDS = 3.0
RESTORED_SECONDS = 10.0

#: How long a page that failed may still say what it is.
LAST_WORDS_SECONDS = 1.0

# --- API -------------------------------------------------------------------------------------------

USER_ME = "/auth/v1.0/user/me"
PROJECT = "/auth/v1.0/project/uid/{project_uid}"
CREATE = "/storage/v1.0/upload/connector/uid/{connector_uid}"
CONTENT = "/storage/v1.0/content"
VERSIONS = "/storage/v1.0/content/versions/"
SEARCH = "/storage/v1.0/search"
SEARCH_FILTER = "(content_type eq '{content_type}') and (project_uid eq '{project_uid}')"
#: The one number of results that was seen in use.
SEARCH_TOP = 1000
#: Content type of element templates by widget type. Seen for ``text-1``; the others follow its pattern.
TEMPLATE_TYPE = "application/rdpcomposer_template_element_{name}"
TEMPLATE_WIDGETS = (
    "text-1", "head-1", "quiz-1", "list-1", "image-1", "video-1", "gallery-1", "flashcards-1", "hotspots-1",
)  # fmt: skip
PART_NAME = "file"
PART_FILENAME = "composition.rdpcomposer"
PART_TYPE = "digitalpages/composer"
#: How far Composer's clock may be behind ours.
CLOCK_SKEW = timedelta(minutes=5)
#: Answers to a request with a bad token.
REFUSED_TOKEN = {401, 403}
#: And to ``user/me``; 500 was seen as well, but means other things too.
TOKEN_REJECTED = {401, 403, 404}


def login_address(app_url: str, language: str, project_uid: str, token: str) -> str:
    """Return the address that logs a browser in. It contains the token: never log it."""
    route = LOGIN_ROUTE.format(language=language, project_uid=quote(project_uid), token=quote(token))
    return app_url + route


def editor_address(app_url: str, uid: str) -> str:
    """Return the address at which a person opens a composition."""
    return app_url + EDITOR_ROUTE.format(uid=quote(uid))


def template_type(widget: str) -> str:
    """Return the content type of the element templates for a type of widget."""
    return TEMPLATE_TYPE.format(name=widget.replace("-", "_"))


def write_headers(token: str, project_key: str, api_env: str) -> dict[str, str]:
    """Return the headers that every write needs."""
    return {"Authorization": f"Bearer {token}", "Project-Key": project_key, "Api-Env": api_env}


def write_query(uid: str, project_uid: str) -> dict[str, str]:
    """Return the query of a write to an existing composition."""
    return {"uid": uid, "manual_project_uid": project_uid}


def read_query(uid: str, token: str, project_key: str, api_env: str) -> dict[str, str]:
    """Return the query of a read. It contains the token: never log the address."""
    return {"uid": uid, "access_token": token, "project_key": project_key, "api_env": api_env}
