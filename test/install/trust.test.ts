/** Whatever is changed between control plane and machine: nothing of it is installed. */
import { afterEach, describe, expect, test } from "bun:test";
import { generateKeyPairSync, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../reconciler/http/route/release-folder.ts";
import { agentOf, type Bench, openBench, SCRIPT, TOKEN, toolFolder } from "./bench.ts";

let open: Bench | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

async function start(): Promise<Bench> {
  open = await openBench();
  open.release("0.1.0");
  return open;
}

/** Fails, says why, and leaves the machine as it was: empty at first, then with a release. */
async function refused(bench: Bench, said: string, args?: readonly string[]): Promise<void> {
  const before = bench.tree();
  const ran = await bench.install(args);
  expect(ran.err).toContain(said);
  expect(ran.code).toBe(1);
  expect(ran.out).not.toContain("installed");
  const lasting = (tree: readonly string[]) =>
    tree.filter((path) => !path.includes("/ ") && !path.includes(".install-pending"));
  expect(lasting(bench.tree())).toEqual(lasting(before));
}

const agentPath = /navarch-node-linux-/;

describe("install.sh refuses", () => {
  test("an agent with one byte changed", async () => {
    const bench = await start();
    bench.meddle.with = async (path, answer) => {
      if (!agentPath.test(path)) return answer;
      return new Response((await answer.text()).replace("navarch", "navarcH"));
    };
    await refused(bench, "the checksum is not that of SHA256SUMS");
  });

  test("half of an agent, and one whose connection breaks", async () => {
    const bench = await start();
    bench.meddle.with = async (path, answer) => {
      return agentPath.test(path) ? new Response((await answer.text()).slice(0, 90)) : answer;
    };
    await refused(bench, "the checksum is not that of SHA256SUMS");
    bench.meddle.with = (path, answer) => {
      if (!agentPath.test(path)) return answer;
      // The first half, and then nothing: the connection is closed on it.
      return new Response(
        new ReadableStream<Uint8Array>({
          async pull(controller) {
            controller.enqueue(new TextEncoder().encode(agentOf("0.1.0").slice(0, 90)));
            await bench.cut();
          },
        }),
      );
    };
    await refused(bench, "cannot download");
  });

  test("an upgrade that was tampered with, and the old agent stays", async () => {
    const bench = await start();
    await bench.install();
    bench.release("0.2.0");
    bench.meddle.with = (path, answer) => {
      return agentPath.test(path) ? new Response(agentOf("0.2.0-evil")) : answer;
    };
    await refused(bench, "the checksum is not that of SHA256SUMS", ["--version", "0.2.0"]);
    bench.meddle.with = (_path, answer) => answer;
    const { out } = await bench.install(["--version", "0.2.0"]);
    expect(out).toContain("upgraded navarch-node from 0.1.0 to 0.2.0");
  });

  test("sums that were changed together with the agent", async () => {
    const bench = await start();
    bench.meddle.with = async (path, answer) => {
      if (agentPath.test(path)) return new Response(agentOf("evil"));
      if (!path.endsWith("/SHA256SUMS")) return answer;
      const sums = await answer.text();
      return new Response(sums.replaceAll(digestOf(agentOf("0.1.0")), digestOf(agentOf("evil"))));
    };
    await refused(bench, "is not signed with release key");
  });

  test("a signature by another key, and none at all", async () => {
    const bench = await start();
    const { privateKey } = generateKeyPairSync("ed25519");
    const sums = readFileSync(join(bench.folder, "release/0.1.0/SHA256SUMS"));
    bench.meddle.with = (path, answer) => {
      if (!path.endsWith(".sig")) return answer;
      return new Response(new Uint8Array(sign(null, sums, privateKey)));
    };
    await refused(bench, "is not signed with release key");
    bench.meddle.with = (path, answer) => (path.endsWith(".sig") ? new Response("") : answer);
    await refused(bench, "is not signed with release key");
    bench.meddle.with = (path, answer) => {
      return path.endsWith(".sig") ? new Response("gone", { status: 404 }) : answer;
    };
    await refused(bench, "404");
  });

  test("an old release under the number of a newer one", async () => {
    const bench = await start();
    bench.release("0.2.0");
    const app = bench.url;
    bench.meddle.with = async (path, answer) => {
      if (!path.includes("/0.2.0/")) return answer;
      return fetch(`${app}${path.replace("/0.2.0/", "/0.1.0/")}`);
    };
    await refused(bench, "is not that of release 0.2.0", ["--version", "0.2.0"]);
  });

  test("a release key with another fingerprint", async () => {
    const bench = await start();
    const wrong = `sha256:${"0".repeat(64)}`;
    await refused(bench, "not the expected one", ["--key-fingerprint", wrong]);
    const colons = bench.key.fingerprint.replace("sha256:", "").toUpperCase().replace(/../g, "$&:");
    const given = `sha256:${colons.replace(/:$/, "")}`;
    expect((await bench.install(["--key-fingerprint", given])).code).toBe(0);
  });

  test("a list that it cannot check, where OpenSSL is missing", async () => {
    const bench = await start();
    bench.release("0.2.0");
    const env = { PATH: toolFolder(bench.folder, { without: ["openssl"] }) };
    // The served script names one list, so that needs no signature; and it takes no other one.
    bench.meddle.with = async (path, answer) => {
      return path.endsWith("/SHA256SUMS") ? new Response(`${await answer.text()}\n`) : answer;
    };
    const changed = await bench.install(undefined, { env });
    expect(changed.err).toContain("is not the one that this script names: fetch the script again");
    expect([changed.code, bench.tree()]).toEqual([1, []]);
    bench.meddle.with = (_path, answer) => answer;
    const named = await bench.install(undefined, { env });
    expect(named.out).toContain("the one that this script names");
    expect(named.out).toContain("installed navarch-node 0.1.0");
    // Loopback is private; another release is taken with a remark.
    const other = await bench.install(["--version", "0.2.0"], { env });
    expect(other.err).toContain("the signature of SHA256SUMS is not checked");
    // Over plain http from elsewhere there is nothing left to rest on.
    const uname = toolFolder(bench.folder, {
      without: ["openssl"],
      with: { curl: redirecting(bench) },
    });
    const far = ["--server", "http://far.example:1", "--version", "0.1.0"];
    const script = readFileSync(SCRIPT, "utf8").replace(
      "RELEASE_KEY=''",
      `RELEASE_KEY='${bench.key.publicBase64}'`,
    );
    const refusal = await bench.install(far, { env: { PATH: uname }, script });
    expect(refusal.err).toContain("so the signature of 0.1.0 cannot be checked: refused");
    expect(refusal.code).toBe(1);
  });

  /** `far.example` is the bench: what is far by its name only. */
  function redirecting(bench: Bench): string {
    const real = Bun.which("curl") ?? "curl";
    const port = new URL(bench.url).port;
    return `#!/bin/sh\nexec ${real} --connect-to far.example:1:127.0.0.1:${port} "$@"\n`;
  }

  test("plain http: it warns, unless the key is pinned; a bare copy needs the pin", async () => {
    const bench = await start();
    const env = { PATH: toolFolder(bench.folder, { with: { curl: redirecting(bench) } }) };
    const far = ["--server", "far.example:1", "--join-token", TOKEN];
    const warned = await bench.install(far, { env });
    expect(warned.code).toBe(0);
    expect(warned.err).toContain("WARNING: http://far.example:1 is plain http");
    const script = readFileSync(SCRIPT, "utf8");
    const bare = await bench.install(far, { env, script });
    expect(bare.code).toBe(1);
    expect(bare.err).toContain("no --key-fingerprint: refused");
    const pinned = ["--key-fingerprint", bench.key.fingerprint];
    const ran = await bench.install([...far, ...pinned], { env, script });
    expect({ code: ran.code, err: ran.err }).toEqual({ code: 0, err: "" });
  });
});

const certificates = Bun.which("openssl") === null ? null : "openssl";

type Made = { ca: string; cert: string; key: string; fingerprint: string };

/** An authority of `name` with its certificate for loopback, as OpenSSL makes them. */
async function makeAuthority(bench: Bench, name: string): Promise<Made> {
  const { folder } = bench;
  const make = `
    mkdir ${name} && cd ${name} &&
    openssl req -x509 -newkey ed25519 -nodes -keyout ca.key -out ca.pem -days 1 -subj /CN=ca &&
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout leaf.key \\
      -out leaf.csr -subj /CN=leaf &&
    printf 'subjectAltName=IP:127.0.0.1\\n' >ext &&
    openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 \\
      -extfile ext -out leaf.pem`;
  const made = await bench.run(["sh", "-c", make]);
  expect([made.code, made.code === 0 ? "" : made.err]).toEqual([0, ""]);
  const print = `openssl x509 -in ${name}/ca.pem -noout -sha256 -fingerprint`;
  const printed = await bench.run(["sh", "-c", print]);
  const read = (file: string): string => readFileSync(join(folder, name, file), "utf8");
  return {
    ca: read("ca.pem"),
    cert: read("leaf.pem"),
    key: read("leaf.key"),
    fingerprint: `sha256:${printed.out.trim().split("=")[1]}`,
  };
}

describe.skipIf(certificates === null)("install.sh --ca-fingerprint", () => {
  async function authorities(...names: string[]): Promise<Made[]> {
    const first = await openBench();
    const made: Made[] = [];
    for (const name of names) made.push(await makeAuthority(first, name));
    await first.close();
    return made;
  }
  const stored = (bench: Bench): string => {
    return readFileSync(join(bench.root, "etc/navarch-node/ca.pem"), "utf8");
  };

  test("trusts the own CA of that fingerprint only", async () => {
    const [tls] = await authorities("real");
    if (tls === undefined) throw new Error("no authority");
    const { fingerprint } = tls;
    open = await openBench({ tls });
    open.release("0.1.0");
    const plain = await open.install();
    expect(plain.code).toBe(1);
    expect(plain.err).toContain("cannot download");
    await refused(open, "not the expected one", ["--ca-fingerprint", `sha256:${"1".repeat(64)}`]);
    expect(open.requests.filter((path) => path !== "/ca.pem")).toEqual([]);
    const { code, err } = await open.install(["--ca-fingerprint", fingerprint]);
    expect({ code, err: err.replace(/.*no join token.*\n/, "") }).toEqual({ code: 0, err: "" });
    expect(stored(open)).toBe(tls.ca);
    // From then on the stored CA does.
    expect((await open.install([])).out).toContain("nothing to do");
    const settings = readFileSync(join(open.root, "etc/navarch-node/environment"), "utf8");
    expect(settings).toContain("\nNAVARCH_CA_FILE=/etc/navarch-node/ca.pem\n");
  });

  test("does not trust what is shown behind that CA, nor one in its place", async () => {
    const [real, evil] = await authorities("real", "evil");
    if (real === undefined || evil === undefined) throw new Error("no authorities");
    const pinned = ["--ca-fingerprint", real.fingerprint];
    const shown = [
      `${real.ca}${evil.ca}`,
      real.ca.replace("-----END", `${evil.ca}-----END`),
      real.ca.replace("\n-----END", `=${evil.ca.split("\n")[1]}\n-----END`),
      `${evil.ca}${real.ca}`,
      "",
    ];
    for (const ca of shown) {
      open = await openBench({ tls: { ...evil, ca } });
      open.release("0.1.0");
      const ran = await open.install(pinned);
      const { requests } = open;
      expect([ran.code, requests, open.tree()]).toEqual([1, ["/ca.pem"], []]);
      await open.close();
    }
    // What is left for good is the one certificate that was compared.
    open = await openBench({ tls: { ...real, ca: `${real.ca}${evil.ca}` } });
    open.release("0.1.0");
    expect((await open.install(pinned)).code).toBe(0);
    expect(stored(open)).toBe(real.ca);
  });
});
