/**
 * Checks requests that `allow_anonymous` admits without a token. A web page can make its reader's
 * browser call an address that only the reader reaches, under the page's own name if that name
 * resolves there (DNS rebinding). Pure.
 */

/** Names that no outsider can own: reserved by RFC 6761, or resolved only inside a cluster. */
const INSIDE = /(?:^|\.)(?:localhost|svc|cluster\.local)$/;
const ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])$/;

/** The names in these addresses, each `host`, `host:port` or a URL; empty ones are ignored. */
export function namesOf(given: readonly (string | null | undefined)[]): ReadonlySet<string> {
  return new Set(given.flatMap((one) => (one ? [nameOf(one.replace(/^https?:\/\//i, ""))] : [])));
}

/** Why the request is refused without a token, or `null`. */
export function whyForeign(headers: Headers, names: ReadonlySet<string>): string | null {
  const host = headers.get("host") ?? "";
  const name = nameOf(host);
  const single = /^[a-z0-9_-]+$/.test(name);
  if (!single && !ADDRESS.test(name) && !INSIDE.test(name) && !names.has(name)) {
    const advice = "use an IP address, set server.external_address to this name, or send a token";
    return `Host "${name}" is not accepted without a token: ${advice}`;
  }
  const origin = headers.get("origin");
  const site = headers.get("sec-fetch-site");
  const own = origin === null || URL.parse(origin)?.host === host.toLowerCase();
  if (own && (site === null || site === "same-origin" || site === "none")) return null;
  return `a page of ${origin ?? "another site"} is not accepted without a token`;
}

/** Without its port, in lower case and without the final dot. */
function nameOf(host: string): string {
  const name = host.toLowerCase().replace(/[/?#].*$/, "");
  return name.replace(/:\d*$/, "").replace(/\.$/, "");
}
