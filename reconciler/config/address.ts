/** Parses addresses: where the control plane listens, and where nodes and web hooks are. Pure. */
import { cutText } from "../../schema/cut-text.ts";
import { withoutEndSlash } from "../../schema/end-slash.ts";
import { quoteShort } from "./problem.ts";

export type Answer<T> =
  | { ok: true; value: T }
  | { ok: false; message: string; hint: string | null };

const bad = (message: string, hint: string | null) => ({ ok: false, message, hint }) as const;

/** A host name or IPv4 address. */
const HOST = {
  test: (text: string): boolean =>
    !text.includes("..") && /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/.test(text),
};

/** `host:port`, `:port` or `[v6]:port`. An empty host is every interface. */
export function parseListen(text: string): Answer<{ host: string; port: number }> {
  const match = /^(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) {
    const alone = /^\d{1,5}$/.test(text) ? `write ":${text}"` : 'write for example "0.0.0.0:50051"';
    return bad(`${quoteShort(text)} is not an address with a port`, alone);
  }
  const [, v6, name = "", digits] = match;
  const port = Number(digits);
  if (port > 65_535) return bad(`port ${port} is too large`, "1 to 65535");
  if (v6 !== undefined) return checkV6(v6, port);
  if (name !== "" && !HOST.test(name)) return bad(`${quoteShort(name)} is not a host`, null);
  if (/^[\d.]+$/.test(name) && !isV4(name)) return bad(`${name} is not an IPv4 address`, null);
  return { ok: true, value: { host: name, port } };
}

/** Digits and points alone are no host name either. */
function isV4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256);
}

function checkV6(host: string, port: number): Answer<{ host: string; port: number }> {
  const sound = URL.canParse(`http://[${host.split("%", 1)[0]}]/`);
  if (!sound) return bad(`[${cutText(host)}] is not an IPv6 address`, null);
  return { ok: true, value: { host, port } };
}

/** Whether a listen host means every interface, which nodes cannot dial. */
export function isWildcard(host: string): boolean {
  return host === "" || /^0\.0\.0\.0$/.test(host) || /^[0:]+$/.test(host);
}

/** An absolute URL without a trailing slash, or `host:port` as it is. */
export function parseExternal(text: string): Answer<string> {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1]?.toLowerCase() ?? null;
  if (scheme !== null && scheme !== "http" && scheme !== "https") {
    return bad(`${cutText(scheme)}:// is not supported`, "http:// or https://");
  }
  if (scheme === null) {
    const listen = parseListen(text);
    if (!listen.ok || listen.value.host === "" || listen.value.port === 0) {
      const hint = "write for example navarch.example.net:50051";
      return bad(`${quoteShort(text)} is not a URL or host:port`, hint);
    }
    return { ok: true, value: text };
  }
  return parseHttpUrl(text);
}

/** An absolute http or https URL without credentials in it. */
export function parseHttpUrl(text: string): Answer<string> {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || /\s/.test(text)) {
    return bad("not an absolute URL", "write for example https://example.net/path");
  }
  if (url.username !== "" || url.password !== "") {
    return bad("a URL must not hold a user name or password", "use a header from the environment");
  }
  return { ok: true, value: withoutEndSlash(text) };
}
