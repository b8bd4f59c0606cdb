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

/** Why the request is refused without a token, or `null`; a link may stand on any site. */
export function whyForeign(
  headers: Headers,
  names: ReadonlySet<string>,
  isLink = false,
): string | null {
  const host = headers.get("host") ?? "";
  const name = nameOf(host);
  const single = /^[a-z0-9_-]+$/.test(name);
  if (!single && !ADDRESS.test(name) && !INSIDE.test(name) && !names.has(name)) {
    const advice = "use an IP address, set server.external_address to this name, or send a token";
    return `Host "${name}" is not accepted without a token: ${advice}`;
  }
  if (isLink) return null;
  const origin = headers.get("origin");
  const site = headers.get("sec-fetch-site");
  const own = origin === null || URL.parse(origin)?.host === host.toLowerCase();
  if (own && (site === null || site === "same-origin" || site === "none")) return null;
  return `a page of ${origin ?? "another site"} is not accepted without a token`;
}

/**
 * Why a form was not posted by a page of this control plane; `null` = it was, or by a program.
 * Cookies of SameSite=Strict and the forms' own tokens guard too; this also guards the log-in.
 */
export function whyCrossSite(headers: Headers): string | null {
  const site = headers.get("sec-fetch-site");
  if (site === "same-origin" || site === "none") return null;
  if (site !== null) return "the form was posted by a page of another site";
  // Browsers leave out Sec-Fetch-Site where the connection is not encrypted.
  const origin = headers.get("origin");
  const host = headers.get("host") ?? "";
  if (origin === null || URL.parse(origin)?.host === host.toLowerCase()) return null;
  return `the form was posted by a page of ${origin}, not of ${host}; a proxy must pass on Host`;
}

/** Without its port, in lower case and without the final dot. */
function nameOf(host: string): string {
  const [name = ""] = host.toLowerCase().split(/[/?#]/, 1);
  return name.replace(/:\d*$/, "").replace(/\.$/, "");
}
