/** Addresses in a canonical form. Pure. */
import { isIP } from "node:net";

/**
 * The canonical text of an address; `null` if it is invalid or names no machine: loopback may be a
 * local proxy, and link-local addresses repeat in every network.
 */
export function plainAddress(text: string): string | null {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text)?.[1] ?? text;
  const kind = isIP(mapped);
  if (kind === 4) return /^(?:0|127|169\.254)\./.test(mapped) ? null : mapped;
  // The URL standard has one short form; an address with a zone is link-local and no URL.
  if (kind !== 6 || !URL.canParse(`http://[${mapped}]`)) return null;
  const address = new URL(`http://[${mapped}]`).hostname.slice(1, -1);
  return /^(?:::1?$|::ffff:|fe[89ab])/.test(address) ? null : address;
}

/** The eight words of an IPv6 address without a zone; `null` if it is invalid. */
export function wordsOf(address: string): number[] | null {
  // The URL standard writes a dotted end as words too.
  const url = isIP(address) === 6 ? URL.parse(`http://[${address}]`) : null;
  if (url === null) return null;
  const [front = [], back = []] = url.hostname
    .slice(1, -1)
    .split("::")
    .map((part) => (part === "" ? [] : part.split(":").map((word) => Number.parseInt(word, 16))));
  return [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
}

/** `https://host:port`; `null` if kubeadm cannot dial it, for example because of a path. */
export function serverOf(text: string | null): string | null {
  const url = text !== null && URL.canParse(text) ? new URL(text) : null;
  if (url === null || url.protocol !== "https:" || url.hostname === "") return null;
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    return null;
  if (url.pathname !== "/" && url.pathname !== "") return null;
  return `https://${url.hostname}:${url.port === "" ? "443" : url.port}`;
}
