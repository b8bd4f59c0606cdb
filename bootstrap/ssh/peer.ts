/**
 * An SSH server inside the process, for tests: the real protocol at the other end, real shells as
 * its commands. It stands where a machine would, on loopback, and can be told to misbehave. What
 * only OpenSSH does (its own children, limits, forwarding rules) is tested against sshd instead.
 *
 * Adapter: a listening socket on loopback, child processes.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { connect as connectTcp } from "node:net";
import { Server, utils } from "ssh2";
import type { AuthContext, Connection, ServerChannel } from "ssh2";

export type PeerOptions = {
  /** Private host keys; a fresh ed25519 key if absent. */
  hostKeys?: readonly string[];
  /** Public key that may log in, as one line of OpenSSH. */
  userKey: string;
  /** Added to the environment of every command; `PATH` is the process's. */
  env?: Readonly<Record<string, string>>;
};

export type Peer = {
  port: number;
  /** Base64 of the wire form, in the order of the private keys. */
  hostKeys: string[];
  /** Every command line that was asked for. */
  commands: string[];
  /** Connections that have logged in since the start. */
  logins: number;
  /** So many more calls are begun, and the last of them loses its connection at once. */
  cutAfter: number | null;
  /** Cuts every connection without a word; their commands go on. */
  cut(): void;
  close(): Promise<void>;
};

/**
 * A key pair; `sign` for user and host keys alike. The library that makes it writes one Ed25519 key
 * in 300 so that it cannot read it itself, so each is read back first.
 */
export function makeKey(type: "ed25519" | "rsa" = "ed25519"): { private: string; public: string } {
  if (type === "rsa") return utils.generateKeyPairSync("rsa", { bits: 2048 });
  const pair = utils.generateKeyPairSync("ed25519");
  return utils.parseKey(pair.private) instanceof Error ? makeKey(type) : pair;
}

/** The wire form in base64 of a private key's public half. */
export function publicBlob(privateKey: string): string {
  const key = utils.parseKey(privateKey);
  if (key instanceof Error) throw key;
  return key.getPublicSSH().toString("base64");
}

export async function openPeer(options: PeerOptions): Promise<Peer> {
  const hostKeys = [...(options.hostKeys ?? [makeKey().private])];
  const open = new Set<Connection>();
  const children = new Set<ChildProcess>();
  const server = new Server({ hostKeys });
  const peer: Peer = {
    port: 0,
    hostKeys: hostKeys.map(publicBlob),
    commands: [],
    logins: 0,
    cutAfter: null,
    cut: () => {
      for (const client of open) dropSocket(client);
    },
    close: async () => {
      peer.cut();
      for (const child of children) child.kill("SIGKILL");
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  server.on("connection", (client) => {
    open.add(client);
    client.on("close", () => open.delete(client));
    client.on("error", () => undefined);
    client.on("authentication", (context) => judgeLogin(context, options.userKey));
    client.on("ready", () => {
      peer.logins++;
      serve(client, peer, options, children);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the peer has no port");
  peer.port = address.port;
  return peer;
}

function judgeLogin(context: AuthContext, userKey: string): void {
  const allowed = utils.parseKey(userKey);
  if (allowed instanceof Error) throw allowed;
  if (context.method !== "publickey") return context.reject(["publickey"]);
  if (!context.key.data.equals(allowed.getPublicSSH())) return context.reject(["publickey"]);
  const { signature, blob, hashAlgo } = context;
  if (signature && blob && allowed.verify(blob, signature, hashAlgo) !== true) {
    return context.reject(["publickey"]);
  }
  context.accept();
}

function serve(
  client: Connection,
  peer: Peer,
  options: PeerOptions,
  children: Set<ChildProcess>,
): void {
  client.on("session", (accept) => {
    const session = accept();
    session.on("exec", (acceptExec, _reject, { command }) => {
      peer.commands.push(command);
      runChild(acceptExec(), command, options, children);
      if (peer.cutAfter !== null && --peer.cutAfter === 0) dropSocket(client);
    });
  });
  client.on("tcpip", (accept, reject, { destIP, destPort }) => {
    const socket = connectTcp(destPort, destIP);
    socket.once("error", () => reject());
    socket.once("connect", () => {
      const channel = accept();
      channel.pipe(socket).pipe(channel);
      channel.on("error", () => socket.destroy());
      channel.on("close", () => socket.destroy());
    });
  });
}

/** As sshd does it: pipes, no terminal, and a command that outlives its connection. */
function runChild(
  channel: ServerChannel,
  command: string,
  options: PeerOptions,
  children: Set<ChildProcess>,
): void {
  const child = spawn("/bin/sh", ["-c", command], {
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  children.add(child);
  child.on("exit", () => children.delete(child));
  child.stdin.on("error", () => undefined);
  channel.on("error", () => undefined);
  channel.pipe(child.stdin);
  child.stdout.pipe(channel, { end: false });
  child.stderr.pipe(channel.stderr, { end: false });
  child.on("exit", (code, signal) => {
    if (signal !== null) channel.exit(signal.replace(/^SIG/, ""), false, "");
    else channel.exit(code ?? 0);
  });
  child.on("close", () => channel.end());
  // Pipes that nobody reads any more: the command is told with SIGPIPE, as on a real machine.
  channel.on("close", () => {
    child.stdout.destroy();
    child.stderr.destroy();
    child.stdin.destroy();
  });
}

/** The socket itself is not in the types: a cut says no goodbye, unlike `end`. */
function dropSocket(client: Connection): void {
  const { _sock: socket } = client as Connection & { _sock?: { destroy(): void } };
  if (socket === undefined) client.end();
  else socket.destroy();
}
