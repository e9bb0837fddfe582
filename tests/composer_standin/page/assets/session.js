// Who is logged in: the localStorage keys of the original, and calls to its API with their headers.
const api = document.querySelector("meta[name=api]").content;
const RETRIES = 3;

const read = (key) => JSON.parse(localStorage.getItem(key) ?? "null");
const write = (key, value) => localStorage.setItem(key, JSON.stringify(value));

export const workingCopy = () => read("rdp-composer-data");
export const setWorkingCopy = (composition) => write("rdp-composer-data", composition);
export const project = () => read("rdp-composer-active-project");
export const token = () => read("rdp-composer-user-data")?.access_token;

async function call(path, options = {}, accessToken = token()) {
  const headers = { Authorization: `Bearer ${accessToken}`, ...options.headers };
  for (let attempt = 1; ; attempt++) {
    const answer = await fetch(api + path, { ...options, headers });
    if (answer.ok) return answer.json();
    if (answer.status < 500 || attempt === RETRIES) throw new Error(`${answer.status} ${path.split("?")[0]}`);
  }
}

export async function logIn(projectUid, accessToken) {
  localStorage.clear();
  const user = await call("/auth/v1.0/user/me", {}, accessToken);
  const active = await call(`/auth/v1.0/project/uid/${projectUid}`, {}, accessToken);
  write("rdp-composer-user-data", { access_token: accessToken });
  write("rdp-composer-user-info", user);
  write("rdp-composer-projects", [active]);
  write("rdp-composer-active-project", active);
  write("custom_colors", []);
}

export async function load(uid) {
  const query = new URLSearchParams({ uid, access_token: token(), project_key: project().key, api_env: "prd" });
  const answer = await fetch(`${api}/storage/v1.0/content?${query}`);
  if (!answer.ok) throw new Error(`${answer.status} content`);
  return answer.json();
}

export function save(uid, composition) {
  const body = new FormData();
  const file = new Blob([JSON.stringify(composition)], { type: "digitalpages/composer" });
  body.append("file", file, "composition.rdpcomposer");
  const headers = { "Project-Key": project().key, "Api-Env": "prd" };
  const path = uid
    ? `/storage/v1.0/content/versions/dynamic?${new URLSearchParams({ manual_project_uid: project().uid, uid })}`
    : `/storage/v1.0/upload/connector/uid/${project().connectors[0].uid}`;
  return call(path, { method: "POST", body, headers });
}

export const versions = (uid) => call(`/storage/v1.0/content/versions/?${new URLSearchParams({ uid })}`);
