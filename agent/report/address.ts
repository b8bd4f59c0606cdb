/**
 * The address of the control plane as people write it: `host:port` without a scheme, a bare host, a
 * URL, an IPv6 literal with or without brackets. Pure.
 */
import { trimEnd } from "../../schema/trim.ts";

/** The port of the control plane when neither a port nor a scheme says otherwise. */
const PORT = 50_051;

export type AddressAnswer =
  | {
      ok: true;
      /** `http` or `https` URL without a slash at its end. */
      base: string;
    }
  | { ok: false; message: string };

const SCHEMES: Record<string, string> = { http: "http", https: "https", ws: "http", wss: "https" };
/** RFC 1123 labels; underscores because container networks use them. */
const HOST = /^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$/;
const FORMS = "host, host:port, [ipv6]:port or http(s)://host:port";

/** Reads the value of `flag`; the error names the flag and the forms. */
export function parseAddress(text: string, flag: string): AddressAnswer {
  const given = text.trim();
  const bad = (why: string): AddressAnswer => {
    return { ok: false, message: `${flag} ${why}; write ${FORMS}` };
  };
  if (given === "") return bad("is empty");
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(given);
  const protocol = scheme ? SCHEMES[(scheme[1] ?? "").toLowerCase()] : "http";
  if (protocol === undefined) return bad(`has the unknown scheme "${scheme?.[1]}"`);
  const [authority = "", ...path] = given.slice(scheme?.[0].length ?? 0).split("/");
  // The text is not repeated: it may hold a password.
  if (authority.includes("@")) return bad("must not hold a user or password");
  const place = parseAuthority(authority);
  if (!place) return bad(`"${given}" is not an address`);
  const suffix = trimEnd(path.join("/"), "/");
  if (/[?#\s]/.test(suffix)) return bad(`"${given}" must not hold a query`);
  if (suffix !== "" && !scheme) return bad(`"${given}" has a path but no scheme`);
  if (place.port !== null && (place.port < 1 || place.port > 65_535)) {
    return bad(`"${given}" has a port outside 1 to 65535`);
  }
  // With a scheme, a missing port is that scheme's own.
  const port = place.port ?? (scheme ? null : PORT);
  const base = `${protocol}://${place.host}${port === null ? "" : `:${port}`}`;
  if (!URL.canParse(base)) return bad(`"${given}" is not an address`);
  return { ok: true, base: suffix === "" ? base : `${base}/${suffix}` };
}

function parseAuthority(authority: string): { host: string; port: number | null } | null {
  const bracketed = /^\[([0-9A-Fa-f:.]+)\](?::(\d+))?$/.exec(authority);
  if (bracketed) {
    const port = bracketed[2] === undefined ? null : Number(bracketed[2]);
    return { host: `[${bracketed[1]}]`, port };
  }
  // Two colons without brackets: an IPv6 literal, which then cannot have a port.
  if (/^[0-9A-Fa-f:.]+$/.test(authority) && authority.split(":").length > 2) {
    return { host: `[${authority}]`, port: null };
  }
  const plain = /^([^:]+)(?::(\d+))?$/.exec(authority);
  if (!plain || !HOST.test(plain[1] ?? "")) return null;
  return { host: plain[1] ?? "", port: plain[2] === undefined ? null : Number(plain[2]) };
}
