/**
 * Verifies a release before its binary is downloaded. The control plane signs `SHA256SUMS` as a
 * whole; the list has a checksum of each file and of the version, so that a signed old list cannot
 * pass for a newer release.
 *
 * Adapter: network.
 */
import { readBytes } from "../trust/bounded-text.ts";
import type { Tls } from "../trust/trust.ts";

export type ReleaseAsk = {
  /** URL of the release, without a slash at its end. */
  folder: string;
  version: string;
  /** File of this machine's platform, and its checksum by the order. */
  name: string;
  sha256: string;
  tls: Tls | null;
  hasSigned: (bytes: Uint8Array, signature: Uint8Array) => boolean;
};

const SUMS = "SHA256SUMS";
/** A release has some twenty files of a hundred bytes each. */
const BYTES_MAX = 64 * 1_024;
const TIMEOUT_MS = 20_000;

/** Why the release is refused; `null` = it is signed. Throws network errors. */
export async function checkRelease(ask: ReleaseAsk): Promise<string | null> {
  const { folder, hasSigned, name, sha256, tls, version } = ask;
  const sums = await fetchSmall(`${folder}/${SUMS}`, tls);
  if (sums === null) return `release ${version} has no ${SUMS}`;
  const signature = await fetchSmall(`${folder}/${SUMS}.sig`, tls);
  if (signature === null) return `release ${version} is not signed: it has no ${SUMS}.sig`;
  if (!hasSigned(sums, signature)) {
    return `${SUMS} of release ${version} is not signed with the release key of this node`;
  }
  const listed = readSums(new TextDecoder().decode(sums));
  const stamp = new Bun.CryptoHasher("sha256").update(`${version}\n`).digest("hex");
  if (listed.get("VERSION") !== stamp) return `${SUMS} is not that of release ${version}`;
  const found = listed.get(name);
  if (found === undefined) return `release ${version} has no ${name}`;
  return found === sha256 ? null : `release ${version} lists ${name} with another checksum`;
}

/** `HEX  NAME` a line, as sha256sum prints it. */
function readSums(text: string): Map<string, string> {
  const sums = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, sha256, name] = /^([0-9a-f]{64}) [ *](.+)$/.exec(line) ?? [];
    if (sha256 !== undefined && name !== undefined) sums.set(name, sha256);
  }
  return sums;
}

/** `null` = there is none (404). */
async function fetchSmall(url: string, tls: Tls | null): Promise<Uint8Array | null> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(url, { redirect: "error", signal, ...(tls && { tls }) });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return await readBytes(response, BYTES_MAX, url);
}
