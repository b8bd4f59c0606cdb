/**
 * Set-ups in production: keys and known hosts from files, SSH over the network, agents from the
 * release that this control plane serves.
 *
 * Adapter: files, network.
 */
import { createHmac } from "node:crypto";
import { homedir } from "node:os";
import { dirname } from "node:path";
import type { AgentBinary, Arch, Candidate } from "../../bootstrap/run/job.ts";
import { judgeKeySize, MUNGE_KEY, SLURM_STAGE } from "../../bootstrap/builtin/slurm-node.ts";
import { runBootstrap } from "../../bootstrap/run/run.ts";
import { openBinary } from "../../bootstrap/ssh/binary.ts";
import { readKnownHosts } from "../../bootstrap/ssh/known-hosts.ts";
import { checkPrivateKey, createConnect } from "../../bootstrap/ssh/ssh2.ts";
import type { Config } from "../../schema/config.ts";
import { VERSION } from "../../schema/version.ts";
import { Bootstrapper } from "../runtime/act/bootstrap.ts";
import type { Clock } from "../core/clock.ts";
import { KeyWatch } from "../security/key-watch.ts";
import { heldSecrets, keyLines, type HeldFrom } from "../security/held-secret.ts";
import { AGENTS, openInstall } from "../http/route/install.ts";
import type { InstallPorts, Releases } from "../http/route/release-folder.ts";
import type { Join } from "../core/kubernetes/scheduler.ts";
import type { Store } from "../core/store.ts";
import type { KeyPair } from "../security/tls/certificate.ts";
import { isLoopback } from "../../schema/loopback.ts";

export type SetUpFrom = {
  clock: Clock;
  /** The state folder, with keys and releases. */
  state: string;
  /** The fleet's secret; the release key is derived from it. */
  secret: string;
  credential(node: string): string;
  /** The fleet's own certificate authority; `null` = none. */
  caPem: string | null;
  /** See `Port`. */
  clientFor(name: string): KeyPair | null;
  /** Lets a machine join the cluster; `null` = there is none. */
  join: Join | null;
  /** The URL that nodes are given by configuration or environment; `null` = none. */
  external: string | null;
  config: Config;
  /** What is in force now. */
  running(): Config;
  /** Start options that contain tokens. */
  given: Pick<HeldFrom, "authToken" | "authTokenFile" | "env">;
  /** Where this process listens. */
  address: { host: string; port: number };
  /** The bound port, where the configured one is 0. */
  port(): number;
};

export type SetUp = {
  install: InstallPorts;
  bootstrapper(store: Store): Bootstrapper;
  /** See `Sight`. */
  keyProblem(path: string): string | null | undefined;
};

/** Opens what machines download, and the set-up over SSH. Throws without a release key. */
export function openSetUp(from: SetUpFrom): SetUp {
  const install = openInstall({
    state: from.state,
    beside: dirname(process.execPath),
    version: VERSION,
    architecture: process.arch,
    seed: () => createHmac("sha256", from.secret).update("release key").digest(),
    server: () => from.external,
  });
  const keys = new KeyWatch(checkKey, from.clock);
  return {
    install,
    bootstrapper: (store) => openBootstrapper(from, store, install),
    keyProblem: (path) => keys.problem(path),
  };
}

/** Why a private key cannot be used, as a sentence that names it; `null` if it can be. */
export async function checkKey(path: string): Promise<string | null> {
  try {
    await readKey(path);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function openBootstrapper(from: SetUpFrom, store: Store, install: InstallPorts): Bootstrapper {
  const { key, releases } = install;
  const { clock, credential, caPem } = from;
  return new Bootstrapper({
    clock,
    connect: createConnect(),
    openBinary,
    run: runBootstrap,
    readKey,
    async knownHosts(path, host, port) {
      const read = await readKnownHosts(expand(path), host, port);
      if (!read.ok) throw new Error(read.error);
      return read.check;
    },
    credential,
    ca: caPem === null ? null : { path: CA_FILE, pem: caPem },
    releaseKey: { path: RELEASE_KEY_FILE, pem: key.publicPem },
    shown(node) {
      const pair = from.clientFor(node);
      if (pair === null) return null;
      return { certPath: CERT_FILE, cert: pair.certificate, keyPath: KEY_FILE, key: pair.key };
    },
    slurm: () => readSlurm(from.running().slurm),
    join: from.join,
    agents: () => agentsOf(releases),
    controlPlane: () => ({ candidates: candidatesOf(from), listen: listenOf(from) }),
    save: (attempt) => store.saveBootstrap(attempt),
    saved: async (node) => (await store.bootstraps(node, 1))[0] ?? null,
    epoch: () => store.epoch ?? 0,
    masks: (keys) => {
      const held = heldSecrets({ ...from, ...from.given, config: from.running() });
      return [...held, ...keys.flatMap(keyLines)];
    },
  });
}

/** Files on a set-up machine: the control plane's authority, and the key that signs its orders. */
const CA_FILE = "/etc/navarch-node/ca.pem";
const RELEASE_KEY_FILE = "/etc/navarch-node/release-key.pem";
/** The agent's client certificate. */
const CERT_FILE = "/etc/navarch-node/client.pem";
const KEY_FILE = "/etc/navarch-node/client.key";

/** Throws a sentence that names the file. */
async function readKey(path: string): Promise<string> {
  let text: string;
  try {
    text = await Bun.file(expand(path)).text();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`ssh_private_key_path ${path} cannot be read: ${why}`);
  }
  const problem = checkPrivateKey(text);
  if (problem !== null) throw new Error(`ssh_private_key_path ${path}: ${problem}`);
  return text;
}

async function readSlurm({ confServer, mungeKeyFile }: Config["slurm"]) {
  const values = confServer === null ? {} : { SlurmConfServer: confServer };
  if (mungeKeyFile === null) return { files: [], values };
  const key = Bun.file(expand(mungeKeyFile));
  let bytes: Uint8Array;
  try {
    const { size } = await key.stat();
    const problem = judgeKeySize(size);
    if (problem !== null) throw new Error(problem);
    bytes = await key.bytes();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`slurm.munge_key_file ${mungeKeyFile}: ${why}`);
  }
  const path = `${SLURM_STAGE}/munge.key`;
  return { files: [{ what: "munge key", path, target: MUNGE_KEY, bytes }], values };
}

function expand(path: string): string {
  return path.startsWith("~/") ? `${homedir()}${path.slice(1)}` : path;
}

async function agentsOf(releases: Releases): Promise<Record<Arch, AgentBinary | null>> {
  const release = await releases.latest();
  const agentOf = (arch: Arch): AgentBinary | null => {
    const file = release?.files.get(AGENTS[arch]);
    if (release === null || file === undefined) return null;
    const path = "path" in file.source ? file.source.path : null;
    return { url: `/releases/${release.version}/${AGENTS[arch]}`, sha256: file.sha256, path };
  };
  return { x64: agentOf("x64"), arm64: agentOf("arm64") };
}

const WILDCARD = ["", "0.0.0.0", "::"];

function portOf({ address, port }: SetUpFrom): number {
  return address.port === 0 ? port() : address.port;
}

function listenOf(from: SetUpFrom): string {
  return `${from.address.host}:${portOf(from)}`;
}

/** Addresses of this control plane, tried in this order from the machine itself. */
function candidatesOf(from: SetUpFrom): Candidate[] {
  const { external, config, address } = from;
  if (external !== null) return [{ kind: "url", url: external }];
  const scheme = config.server.tls === null ? "http" : "https";
  const port = portOf(from);
  const { host } = address;
  const isOwn = !WILDCARD.includes(host) && !isLoopback(host);
  const named = host.includes(":") ? `[${host}]` : host;
  return isOwn
    ? [{ kind: "url", url: `${scheme}://${named}:${port}` }]
    : [{ kind: "seen", scheme, port }];
}
