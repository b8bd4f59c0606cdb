/**
 * The control plane's address as people write it: with or without scheme, port or host. Pure.
 */
import { trimEnd } from "../schema/trim.ts";
import { type Failure, usage } from "./failure.ts";
import { isLoopback } from "../schema/loopback.ts";

export const SERVER_DEFAULT = "http://localhost:50051";

const PORT = 50051;

export type Address = { ok: true; url: string; loopback: boolean; secure: boolean };

/** Reads `host`, `host:port`, `:port`, `[v6]:port` or a URL, with a path before the API if any. */
export function parseServer(text: string, source = "--server"): Address | Failure {
  const given = text.trim();
  // The address may hold a password: do not repeat it.
  const shown = given.includes("@") ? "with an @" : `"${text}"`;
  const refused = usage(
    `${source} ${shown} is not an address (write host:port, http://host:port or https://host)`,
  );
  if (given === "" || /[\s?#]/.test(given)) return refused;
  const schemed = /^[a-z][a-z0-9+.-]*:\/\//i.test(given);
  if (schemed && !/^https?:\/\//i.test(given)) return refused;
  const url = URL.parse(schemed ? given : `http://${withHost(given)}`);
  if (url === null || url.hostname === "") return refused;
  if (url.username !== "" || url.password !== "") {
    return usage(`${source}: the address holds a user or password (use --token-file)`);
  }
  if (!schemed && url.port === "" && !/:80(\/|$)/.test(given)) url.port = String(PORT);
  return {
    ok: true,
    url: `${url.protocol}//${url.host}${trimEnd(url.pathname, "/")}`,
    // Names below localhost are this machine (RFC 6761 §6.3).
    loopback: isLoopback(url.hostname) || url.hostname.endsWith(".localhost"),
    secure: url.protocol === "https:",
  };
}

/** `:50051` means this machine, and a bare IPv6 address needs its brackets. */
function withHost(given: string): string {
  if (/^:\d/.test(given)) return `localhost${given}`;
  if (/^[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*$/i.test(given)) return `[${given}]`;
  return given;
}
