/**
 * Decides which control plane the agent trusts: the system's authorities, those of a file, or one
 * pinned by fingerprint. A pinned authority is fetched once over an unverified connection, accepted
 * only if its fingerprint matches, and stored; every later connection must use it.
 *
 * Adapter: the network, the file system.
 */
import { createHash, X509Certificate } from "node:crypto";
import { readBounded } from "./bounded-text.ts";
import { openStateFiles, readText } from "../spool/state-file.ts";

/** For `fetch` and `WebSocket`; PEM. */
export type Tls = { ca?: string; cert?: string; key?: string };

/** A subset of the settings. */
export type TrustOptions = {
  /** Base URL of the control plane. */
  server: string;
  /** `sha256:<hex>` of the authority's certificate. */
  caFingerprint: string | null;
  caFile: string | null;
  /** The agent's certificate, if the control plane requires one. */
  clientCertFile: string | null;
  clientKeyFile: string | null;
  /** Where a pinned authority is kept; `null` fetches it again each start. */
  directory: string | null;
};

export type Trust = {
  /** Fetches a pinned authority; `null` when connections can be made, else the problem. */
  ready(): Promise<string | null>;
  /** `null`: the system's defaults. */
  tls(): Tls | null;
};

const FILE = "ca.pem";
const TIMEOUT_MS = 10_000;
/** A certificate is about 800 bytes. */
const PEM_BYTES_MAX = 64 * 1_024;

export function openTrust(options: TrustOptions): Trust {
  const { caFingerprint: fingerprint, server: base } = options;
  const files = openStateFiles(options.directory);
  let pinned = fingerprint === null ? null : matching(files.load(FILE), fingerprint);
  /** Files are read each time: a rotation needs no restart, and a late mount is no error. */
  const fromFiles = (): Tls => {
    const ca = readText(options.caFile);
    const cert = readText(options.clientCertFile);
    const key = readText(options.clientKeyFile);
    return {
      ...(ca !== null && { ca }),
      ...(cert !== null && { cert }),
      ...(key !== null && { key }),
    };
  };
  return {
    async ready() {
      if (fingerprint === null || pinned !== null) return null;
      const { ca: _, ...shown } = fromFiles();
      const fetched = await fetchAuthority(base, shown);
      if (!fetched.ok) return fetched.why;
      pinned = matching(fetched.pem, fingerprint);
      if (pinned === null) return `${base} shows another authority than the one that is pinned`;
      // On a full disk the authority is fetched again after a restart.
      files.save(FILE, pinned);
      return null;
    },
    tls() {
      const tls = { ...fromFiles(), ...(pinned !== null && { ca: pinned }) };
      return Object.keys(tls).length === 0 ? null : tls;
    },
  };
}

/** The one certificate of `pem` that has the fingerprint, as PEM; `null` if none has. */
export function matching(pem: string | null, fingerprint: string): string | null {
  const blocks = pem?.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  for (const block of blocks) {
    try {
      const { raw } = new X509Certificate(block);
      const found = `sha256:${createHash("sha256").update(raw).digest("hex")}`;
      if (found === fingerprint.toLowerCase()) return `${block}\n`;
    } catch {
      // An unreadable block cannot match.
    }
  }
  return null;
}

type Fetched = { ok: true; pem: string } | { ok: false; why: string };

async function fetchAuthority(base: string, shown: Tls): Promise<Fetched> {
  try {
    const answer = await fetch(`${base}/ca.pem`, {
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
      // The request holds no secret, and the fingerprint alone decides about the answer.
      tls: { ...shown, rejectUnauthorized: false },
    });
    const pem = await readBounded(answer, PEM_BYTES_MAX);
    if (answer.ok) return { ok: true, pem };
    return { ok: false, why: `${base}/ca.pem answered ${answer.status}` };
  } catch (cause) {
    return { ok: false, why: cause instanceof Error ? cause.message : String(cause) };
  }
}
