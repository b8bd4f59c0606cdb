/** The shell over SSH against a server in this process: the real protocol, real shells. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { $ } from "bun";
import type { ConnectAnswer, ConnectRequest, Shell } from "../shell.ts";
import { openBinary } from "./binary.ts";
import { makeKey, openPeer, type Peer, publicBlob } from "../../test/fixture/ssh/peer.ts";
import { checkPrivateKey, createConnect } from "./ssh2.ts";

const user = makeKey();
const connect = createConnect();
const folder = mkdtempSync(join(tmpdir(), "navarch-ssh2-"));
let peer: Peer;

beforeAll(async () => {
  peer = await openPeer({ userKey: user.public });
});
afterAll(async () => {
  await peer.close();
  rmSync(folder, { recursive: true });
});

function request(changes: Partial<ConnectRequest> = {}): ConnectRequest {
  return {
    host: "127.0.0.1",
    port: peer.port,
    user: "ubuntu",
    privateKey: user.private,
    hostKey: { kind: "pinned", keys: peer.hostKeys },
    jump: null,
    timeoutMs: 5_000,
    ...changes,
  };
}

async function open(changes: Partial<ConnectRequest> = {}): Promise<Shell> {
  const answer = await connect(request(changes));
  if (answer.kind !== "ok") throw new Error(`${answer.kind}: ${answer.message}`);
  return answer.shell;
}

function messageOf(answer: ConnectAnswer): string {
  return answer.kind === "ok" ? "ok" : `${answer.kind}: ${answer.message}`;
}

describe("connect()", () => {
  test("accepts the pinned key and answers it", async () => {
    const answer = await connect(request());
    expect(answer.kind === "ok" && answer.hostKey).toBe(peer.hostKeys[0] ?? "");
    if (answer.kind === "ok") answer.shell.close();
  });

  test("answers the key that it saw at first use", async () => {
    const answer = await connect(request({ hostKey: { kind: "first-use" } }));
    expect(answer.kind === "ok" && answer.hostKey).toBe(peer.hostKeys[0] ?? "");
    if (answer.kind === "ok") answer.shell.close();
  });

  test("stops at another host key, and sends no login", async () => {
    const before = peer.logins;
    const other = publicBlob(makeKey().private);
    const answer = await connect(request({ hostKey: { kind: "pinned", keys: [other] } }));
    expect(answer.kind).toBe("host_key");
    expect(answer.kind === "host_key" && answer.offered).toBe(peer.hostKeys[0] ?? "");
    expect(messageOf(answer)).toContain("expected ssh-ed25519 SHA256:");
    expect(peer.logins).toBe(before);
    const none = await connect(request({ hostKey: { kind: "pinned", keys: [] } }));
    expect(none.kind).toBe("host_key");
  });

  test("asks a server with several keys for the pinned one", async () => {
    const keys = [makeKey().private, makeKey("rsa").private];
    const both = await openPeer({ userKey: user.public, hostKeys: keys });
    for (const key of both.hostKeys) {
      const hostKey = { kind: "pinned", keys: [key] } as const;
      const answer = await connect(request({ port: both.port, hostKey }));
      expect(messageOf(answer)).toBe("ok");
      if (answer.kind === "ok") answer.shell.close();
    }
    await both.close();
  });

  test("says that the user's key is refused", async () => {
    const answer = await connect(request({ privateKey: makeKey().private }));
    expect(messageOf(answer)).toMatch(/^denied: .*refuses the key of user ubuntu/);
  });

  test("logs in with an RSA key", async () => {
    const rsa = makeKey("rsa");
    const own = await openPeer({ userKey: rsa.public });
    const hostKey = { kind: "pinned", keys: own.hostKeys } as const;
    const shell = await open({ port: own.port, privateKey: rsa.private, hostKey });
    expect(await run(shell, "echo in")).toEqual(["in\n", "", 0]);
    shell.close();
    await own.close();
  });

  test("says that nobody listens, that nobody speaks, and that the time is up", async () => {
    const silent = createServer(() => undefined);
    const port = await new Promise<number>((resolve) =>
      silent.listen(0, "127.0.0.1", () => {
        const address = silent.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      }),
    );
    const late = await connect(request({ port, timeoutMs: 300 }));
    expect(messageOf(late)).toMatch(/^unreachable: .*no answer within 0.3s/);
    silent.close();
    const refused = await connect(request({ port: 1 }));
    expect(messageOf(refused)).toMatch(/^unreachable: .*(refused|connect)/i);
    const stop = new AbortController();
    stop.abort();
    const aborted = await connect(request({ signal: stop.signal }));
    expect(messageOf(aborted)).toBe("unreachable: given up");
  });

  test("says what is wrong with a private key", async () => {
    const path = join(folder, "id");
    await $`ssh-keygen -q -t ed25519 -N secret -f ${path}`.nothrow().quiet();
    const file = Bun.file(path);
    if (await file.exists()) {
      const answer = await connect(request({ privateKey: await file.text() }));
      expect(messageOf(answer)).toMatch(/^bad_key: .*encrypted.*without a passphrase/);
    }
    expect(checkPrivateKey(user.private)).toBe(null);
    expect(checkPrivateKey(user.public)).toBe("the SSH key is a public one");
    expect(checkPrivateKey("nonsense")).toContain("cannot be read");
    expect(checkPrivateKey("")).toContain("cannot be read");
  });

  test("goes through a jump host with keys of its own", async () => {
    const other = makeKey();
    const gate = await openPeer({ userKey: other.public });
    const jump = {
      host: "127.0.0.1",
      port: gate.port,
      user: "gate",
      privateKey: other.private,
      hostKey: { kind: "pinned", keys: gate.hostKeys } as const,
    };
    const shell = await open({ jump });
    expect(await run(shell, "echo through")).toEqual(["through\n", "", 0]);
    shell.close();
    const foreign = { ...jump, hostKey: { kind: "pinned", keys: peer.hostKeys } as const };
    expect(messageOf(await connect(request({ jump: foreign })))).toMatch(/^host_key: jump host/);
    const wrong = { ...jump, privateKey: user.private };
    expect(messageOf(await connect(request({ jump: wrong })))).toMatch(/^denied: jump host/);
    const nowhere = await connect(request({ jump, port: 1 }));
    expect(messageOf(nowhere)).toMatch(/^unreachable: jump host .*no way to 127.0.0.1:1/);
    const many = await Promise.all(Array.from({ length: 12 }, () => connect(request({ jump }))));
    expect(many.map((answer) => answer.kind)).toEqual(Array.from({ length: 12 }, () => "ok"));
    for (const answer of many) if (answer.kind === "ok") answer.shell.close();
    await gate.close();
  });
});

/** Output, errors, and the code or how it ended else. */
async function run(
  shell: Shell,
  command: string,
  options: Partial<Parameters<Shell["exec"]>[1]> = {},
): Promise<[string, string, unknown]> {
  const said = { stdout: "", stderr: "" };
  const answer = await shell.exec(command, {
    timeoutMs: 10_000,
    onData: (stream, chunk) => (said[stream] += Buffer.from(chunk).toString()),
    ...options,
  });
  return [said.stdout, said.stderr, answer.kind === "exited" ? answer.code : answer.kind];
}

describe("exec()", () => {
  let shell: Shell;
  beforeAll(async () => {
    shell = await open();
  });
  afterAll(() => shell.close());

  test("gives output, errors and code", async () => {
    expect(await run(shell, "echo out; echo err >&2; exit 3")).toEqual(["out\n", "err\n", 3]);
  });

  test("gives the signal that ended it", async () => {
    const answer = await shell.exec("kill -9 $$", { timeoutMs: 5_000 });
    expect(answer).toEqual({ kind: "exited", code: null, signal: "KILL" });
  });

  test("gives the input, whole, and its end", async () => {
    expect(await run(shell, "cat", { stdin: "some\ninput" })).toEqual(["some\ninput", "", 0]);
    expect(await run(shell, "wc -c", {})).toEqual(["0\n", "", 0]);
    const big = Buffer.alloc(20_000_000, "0123456789abcdef");
    const digest = createHash("sha256").update(big).digest("hex");
    const [sum] = await run(shell, "sha256sum", { stdin: big });
    expect(sum.slice(0, 64)).toBe(digest);
  });

  test("ends when the command stops reading its input", async () => {
    const big = Buffer.alloc(20_000_000, "x");
    expect(await run(shell, "head -c 3; exit 5", { stdin: big })).toEqual(["xxx", "", 5]);
  });

  test("ends at its deadline, by its signal, and stays usable", async () => {
    expect(await run(shell, "sleep 30", { timeoutMs: 200 })).toEqual(["", "", "timeout"]);
    const stop = new AbortController();
    const stopped = run(shell, "echo a; sleep 30", {
      signal: stop.signal,
      onData: () => stop.abort(),
    });
    expect((await stopped)[2]).toBe("aborted");
    expect(await run(shell, "echo", { signal: stop.signal })).toEqual(["", "", "aborted"]);
    expect(await run(shell, "echo still")).toEqual(["still\n", "", 0]);
  });

  test("does not wait for a daemon that keeps the streams open", async () => {
    const start = performance.now();
    expect(await run(shell, "sleep 5 & echo started")).toEqual(["started\n", "", 0]);
    expect(performance.now() - start).toBeLessThan(3_500);
  });

  test("hands 100 MB on without keeping them", async () => {
    let bytes = 0;
    const live = (): number => {
      Bun.gc(true);
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    const before = live();
    const answer = await shell.exec("head -c 100000000 /dev/zero", {
      timeoutMs: 30_000,
      onData: (_, chunk) => (bytes += chunk.length),
    });
    expect(answer).toEqual({ kind: "exited", code: 0, signal: null });
    expect(bytes).toBe(100_000_000);
    expect(live() - before).toBeLessThan(30 * 1_024 * 1_024);
  });

  test("says that the connection is lost, on every call and on those after it", async () => {
    const own = await open();
    const calls = [run(own, "sleep 30"), run(own, "sleep 30")];
    await run(own, "true");
    peer.cut();
    expect((await Promise.all(calls)).map(([, , how]) => how)).toEqual(["lost", "lost"]);
    expect((await run(own, "true"))[2]).toBe("lost");
    own.close();
    own.close();
    shell = await open();
  });
});

describe("openBinary()", () => {
  test("packs a file so that the far side has its very bytes", async () => {
    const shell = await open();
    const path = join(mkdtempSync(join(folder, "binary-")), "agent");
    const bytes = Buffer.alloc(3_000_000, "some bytes of a binary ");
    writeFileSync(path, bytes);
    const digest = createHash("sha256").update(bytes).digest("hex");
    for (const [compress, reader] of [
      ["none", "cat"],
      ["gzip", "gzip -dc"],
      ["zstd", "zstd -dcq"],
    ] as const) {
      if (Bun.which(reader.split(" ")[0] ?? "") === null) continue;
      const line = `${reader} | sha256sum`;
      const [sum] = await run(shell, line, { stdin: openBinary(path, compress) });
      expect(`${compress} ${sum.slice(0, 64)}`).toBe(`${compress} ${digest}`);
    }
    shell.close();
  });

  test("packs once for many readers, and again when the file is another", async () => {
    const path = join(mkdtempSync(join(folder, "binary-")), "agent");
    const read = async () => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of openBinary(path, "gzip")) chunks.push(chunk);
      return gunzipSync(Buffer.concat(chunks)).toString();
    };
    writeFileSync(path, "first".repeat(100_000));
    const all = await Promise.all([read(), read(), read()]);
    expect(all.map((text) => text.length)).toEqual([500_000, 500_000, 500_000]);
    writeFileSync(path, "second");
    expect(await read()).toBe("second");
  });

  test("throws for a file that is not there", async () => {
    const read = async () => {
      for await (const chunk of openBinary("/nowhere/agent", "zstd")) void chunk;
    };
    expect(read()).rejects.toThrow(/ENOENT/);
  });
});
