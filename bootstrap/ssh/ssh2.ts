/**
 * The shell port over ssh2. Logs in with public keys only, always checks the host key as requested,
 * and gives up a silent peer after about 15 s. Uses no SSH agent and no `~/.ssh/config`.
 *
 * Adapter: TCP sockets and timers.
 */
import { Client, type ConnectConfig, utils } from "ssh2";
import type { Duplex } from "node:stream";
import { unreachable } from "../../schema/unreachable.ts";
import type { Connect, ConnectAnswer, ConnectRequest, HostKeyCheck, SshTarget } from "../shell.ts";
import { isPinned, formatKey, signatureOrder } from "./host-key.ts";
import { Ssh2Shell } from "./ssh2-shell.ts";

/** A keep-alive every 5 s; the third without an answer ends the connection (15–20 s). */
const KEEPALIVE_MS = 5_000;
const KEEPALIVE_MISSES_MAX = 2;

/**
 * Handshakes through one jump machine at a time: sshd drops unauthenticated connections at random
 * from the eleventh on (sshd_config(5), MaxStartups 10:30:100).
 */
const JUMPS_AT_ONCE = 8;

/** Connections that share a queue for each jump machine. */
export function createConnect(): Connect {
  const queues = new Map<string, Queue>();
  return async (request) => {
    const { jump } = request;
    if (jump === null) return connectDirectly(request);
    const name = `${jump.user}@${jump.host}:${jump.port}`;
    const queue = queues.get(name) ?? new Queue(JUMPS_AT_ONCE);
    queues.set(name, queue);
    await queue.enter();
    try {
      return await connectThrough(request, jump);
    } finally {
      queue.leave();
      if (queue.idle) queues.delete(name);
    }
  };
}

class Queue {
  readonly #waiting: (() => void)[] = [];
  #free: number;
  readonly #size: number;
  constructor(size: number) {
    this.#size = size;
    this.#free = size;
  }
  get idle(): boolean {
    return this.#free === this.#size;
  }
  async enter(): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

async function connectDirectly(request: ConnectRequest): Promise<ConnectAnswer> {
  const opened = await openClient(request, request, null);
  if (opened.kind !== "open") return opened;
  const { client, hostKey } = opened;
  return { kind: "ok", hostKey, shell: new Ssh2Shell(client, []) };
}

async function connectThrough(request: ConnectRequest, jump: SshTarget): Promise<ConnectAnswer> {
  const label = `jump host ${jump.host}:${jump.port}`;
  const first = await openClient(jump, request, null);
  if (first.kind !== "open") return { ...first, message: `${label}: ${first.message}` };
  const tunnel = await openTunnel(first.client, request);
  if (typeof tunnel === "string") {
    first.client.end();
    return { kind: "unreachable", message: `${label}: ${tunnel}` };
  }
  const opened = await openClient(request, request, tunnel);
  if (opened.kind !== "open") {
    first.client.end();
    return opened;
  }
  const { client, hostKey } = opened;
  return { kind: "ok", hostKey, shell: new Ssh2Shell(client, [first.client]) };
}

/** The jump machine's own connect may take minutes to fail, hence the timer. */
function openTunnel(client: Client, request: ConnectRequest): Promise<Duplex | string> {
  const { host, port, timeoutMs, signal } = request;
  return new Promise((resolve) => {
    const give = (answer: Duplex | string) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      resolve(answer);
    };
    const abort = () => give("given up");
    const timer = setTimeout(
      () => give(`no way to ${host}:${port} within ${timeoutMs / 1_000}s`),
      timeoutMs,
    );
    signal?.addEventListener("abort", abort, { once: true });
    client.once("close", () => give("connection lost"));
    try {
      client.forwardOut("127.0.0.1", 0, host, port, (error, channel) => {
        give(error ? `no way to ${host}:${port}: ${error.message}` : channel);
      });
    } catch (error) {
      give(messageOf(error));
    }
  });
}

type Opened =
  | { kind: "open"; client: Client; hostKey: string }
  | Exclude<ConnectAnswer, { kind: "ok" }>;

/** One handshake; a failed client is destroyed when this resolves. */
function openClient(
  target: SshTarget,
  { timeoutMs, signal }: Pick<ConnectRequest, "timeoutMs" | "signal">,
  sock: Duplex | null,
): Promise<Opened> {
  const bad = checkPrivateKey(target.privateKey);
  if (bad !== null) return Promise.resolve({ kind: "bad_key", message: bad });
  const { host, port } = target;
  return new Promise((resolve) => {
    const client = new Client();
    let offered: Buffer | null = null;
    let accepted = false;
    let settled = false;
    const settle = (answer: Opened) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      if (answer.kind !== "open") client.destroy();
      resolve(answer);
    };
    const unreach = (message: string) => settle({ kind: "unreachable", message });
    const abort = () => unreach("given up");
    const timer = setTimeout(
      () => unreach(`${host}:${port}: no answer within ${timeoutMs / 1_000}s`),
      timeoutMs,
    );
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted === true) return abort();
    client.on("ready", () => {
      const hostKey = (offered ?? Buffer.alloc(0)).toString("base64");
      settle({ kind: "open", client, hostKey });
    });
    client.on("error", (error) => {
      if (offered !== null && !accepted) settle(foreign(target, offered));
      else settle(judgeError(error, target));
    });
    client.on("close", () => unreach(`${host}:${port}: closed during the handshake`));
    const hostVerifier = (key: Buffer): boolean => {
      offered = Buffer.from(key);
      accepted = isAccepted(target.hostKey, key);
      return accepted;
    };
    try {
      client.connect({ ...configOf(target, timeoutMs, sock), hostVerifier });
    } catch (error) {
      unreach(messageOf(error));
    }
  });
}

function configOf(target: SshTarget, timeoutMs: number, sock: Duplex | null): ConnectConfig {
  const { host, port, user, privateKey, hostKey } = target;
  const order = signatureOrder(hostKey.kind === "pinned" ? hostKey.keys : []);
  return {
    ...(sock === null ? { host, port } : { sock: sock as NonNullable<ConnectConfig["sock"]> }),
    username: user,
    privateKey,
    // Later than our own timer, whose message is better.
    readyTimeout: timeoutMs + 1_000,
    keepaliveInterval: KEEPALIVE_MS,
    keepaliveCountMax: KEEPALIVE_MISSES_MAX,
    algorithms: { serverHostKey: order },
  };
}

function isAccepted(check: HostKeyCheck, key: Buffer): boolean {
  switch (check.kind) {
    case "pinned":
      return isPinned(check.keys, key);
    case "first-use":
    case "insecure":
      return true;
    default:
      return unreachable(check);
  }
}

function foreign({ host, port, hostKey }: SshTarget, offered: Buffer): Opened {
  const pinned = hostKey.kind === "pinned" ? hostKey.keys : [];
  const expected = pinned.map((key) => formatKey(Buffer.from(key, "base64"))).join(" or ");
  const message =
    `host key of ${host}:${port} is ${formatKey(offered)}, expected ${expected || "none"}: ` +
    "another machine answers, or the connection is intercepted";
  return { kind: "host_key", message, offered: offered.toString("base64") };
}

function judgeError(error: Error & { level?: string }, target: SshTarget): Opened {
  const where = `${target.host}:${target.port}`;
  if (error.level === "client-authentication") {
    return { kind: "denied", message: `${where} refuses the key of user ${target.user}` };
  }
  return { kind: "unreachable", message: `${where}: ${error.message}` };
}

/** Why the private key cannot be used, or `null`. */
export function checkPrivateKey(text: string): string | null {
  const parsed = utils.parseKey(text);
  if (!(parsed instanceof Error)) {
    const keys = Array.isArray(parsed) ? parsed : [parsed];
    return keys.some((key) => key.isPrivateKey()) ? null : "the SSH key is a public one";
  }
  if (/encrypted|passphrase/i.test(parsed.message)) {
    return "the SSH private key is encrypted: use one without a passphrase (ssh-keygen -p)";
  }
  return `the SSH private key cannot be read: ${parsed.message}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
