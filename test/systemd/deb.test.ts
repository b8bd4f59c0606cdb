/** The Debian packages: the same bytes each time, read by our own reader and by dpkg's. */
import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import {
  PACKAGES,
  SCRIPTS,
  architectureOf,
  debianVersion,
  makeDeb,
} from "../../build/deb/package.ts";
import type { PackageName } from "../../build/deb/package.ts";
import { missesPrograms } from "../real/machine/gate.ts";

const ROOT = join(import.meta.dir, "../..");
const NAMES: readonly PackageName[] = ["navarch-node", "navarch"];
const EDITION = { version: "1.2.3-rc.1", seconds: 1_767_225_600 };
const folder = mkdtempSync(join(tmpdir(), "navarch-deb-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** As much of a program as its header needs, and an odd number of bytes. */
function fakeBinary(machine: number, more = "#"): Uint8Array {
  const header = Buffer.alloc(64);
  header.write("\x7fELF", "latin1");
  header.writeUInt16LE(machine, 18);
  return Buffer.concat([header, Buffer.from(more.padEnd(1_001, "x"))]);
}

type Entry = { name: string; mode: number; owner: string; seconds: number; folder: boolean };
type Member = { name: string; bytes: Buffer };

function readAr(archive: Buffer): Member[] {
  expect(archive.toString("latin1", 0, 8)).toBe("!<arch>\n");
  const members: Member[] = [];
  for (let at = 8; at < archive.length;) {
    const header = archive.toString("latin1", at, at + 60);
    expect(header.slice(58)).toBe("`\n");
    const size = Number(header.slice(48, 58));
    members.push({
      name: header.slice(0, 16).trim(),
      bytes: archive.subarray(at + 60, at + 60 + size),
    });
    at += 60 + size + (size % 2);
  }
  return members;
}

function readTar(archive: Buffer): Map<string, Entry & { bytes: Buffer }> {
  const entries = new Map<string, Entry & { bytes: Buffer }>();
  for (let at = 0; archive[at] !== 0;) {
    const text = (from: number, length: number) =>
      archive.toString("latin1", at + from, at + from + length).replace(/\0.*$/s, "");
    const octal = (from: number, length: number) => Number.parseInt(text(from, length), 8);
    const size = octal(124, 12);
    entries.set(text(0, 100), {
      name: text(0, 100),
      mode: octal(100, 8),
      owner: `${text(265, 32)}:${text(297, 32)} ${octal(108, 8)}:${octal(116, 8)}`,
      seconds: octal(136, 12),
      folder: text(156, 1) === "5",
      bytes: archive.subarray(at + 512, at + 512 + size),
    });
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return entries;
}

function unpack(bytes: Uint8Array) {
  const members = readAr(Buffer.from(bytes));
  const [version, control, data] = members;
  expect(members.map(({ name }) => name)).toEqual([
    "debian-binary",
    "control.tar.gz",
    "data.tar.gz",
  ]);
  expect(version?.bytes.toString()).toBe("2.0\n");
  const open = (member: Member | undefined) =>
    readTar(gunzipSync(member?.bytes ?? Buffer.alloc(0)));
  return { control: open(control), data: open(data) };
}

describe.each(NAMES)("makeDeb(%s)", (name) => {
  const made = makeDeb(name, fakeBinary(62), EDITION);
  const { control, data } = unpack(made.bytes);
  const text = (entry: string) => control.get(entry)?.bytes.toString() ?? "";
  const fields = new Map(
    text("./control")
      .split("\n")
      .flatMap((line) => /^([A-Z][\w-]+): (.*)$/.exec(line)?.slice(1, 3) ?? [])
      .reduce<[string, string][]>((rows, word, at, all) => {
        return at % 2 === 0 ? [...rows, [word, all[at + 1] ?? ""]] : rows;
      }, []),
  );

  test("gives the same bytes for the same parts, and others for other parts", () => {
    expect(Bun.hash(makeDeb(name, fakeBinary(62), EDITION).bytes)).toBe(Bun.hash(made.bytes));
    const other = makeDeb(name, fakeBinary(62, "!"), EDITION).bytes;
    expect(Bun.hash(other)).not.toBe(Bun.hash(made.bytes));
    expect(made.fileName).toBe(`${name}_1.2.3~rc.1_amd64.deb`);
    expect(makeDeb(name, fakeBinary(183), EDITION).fileName).toEndWith("_arm64.deb");
  });

  test("holds nothing of the machine that made it", () => {
    for (const entry of [...control.values(), ...data.values()]) {
      expect(entry.owner).toBe("root:root 0:0");
      expect(entry.seconds).toBe(EDITION.seconds);
    }
  });

  test("has what deb-control(5) and lintian ask of a control file", () => {
    expect([...fields.keys()]).toEqual([
      ..."Package Version Architecture Maintainer Installed-Size".split(" "),
      ..."Depends Section Priority Description".split(" "),
    ]);
    expect(fields.get("Package")).toBe(name);
    expect(fields.get("Maintainer")).toMatch(/^[\w ]+ <[^@\s]+@[\w.]+>$/);
    const summary = fields.get("Description") ?? "";
    expect(summary.length).toBeLessThan(80);
    // No article at the beginning, no full stop at the end, not the name once more.
    expect(summary).not.toMatch(/^(an?|the) |\.$/i);
    const details = text("./control").split("Description:")[1]?.split("\n").slice(1, -1) ?? [];
    expect(details.length).toBeGreaterThan(1);
    for (const line of details) expect(line).toMatch(/^ \S.{10,78}$/);
    expect(text("./control").endsWith("\n")).toBe(true);
    expect(text("./control")).not.toContain("\n\n");
  });

  test("puts every file where Debian's policy wants it, with every folder above it", () => {
    const places =
      /^\.\/(usr\/(bin|lib\/systemd\/system|share\/(doc|man\/man[18]|bash-completion|zsh|fish))|etc\/(default|navarch|navarch-node))\//;
    for (const { name: path, folder: isFolder, mode } of data.values()) {
      if (isFolder) {
        expect(mode & 0o022).toBe(0);
        continue;
      }
      expect(path).toMatch(places);
      expect(mode).toBe(path.startsWith("./usr/bin/") ? 0o755 : mode & 0o644);
      const parts = path.split("/").slice(0, -1);
      for (let end = 1; end <= parts.length; end += 1) {
        expect(data.get(`${parts.slice(0, end).join("/")}/`)?.folder).toBe(true);
      }
    }
    expect([...data.keys()]).toEqual([...data.keys()].sort());
    expect(data.has(`./usr/share/doc/${name}/copyright`)).toBe(true);
    const changes = data.get(`./usr/share/doc/${name}/changelog.gz`);
    expect(gunzipSync(changes?.bytes ?? Buffer.alloc(0)).toString()).toContain("# Changelog");
  });

  test("has the manual page of its program", () => {
    const page = `./usr/share/man/${name === "navarch" ? "man1/navarch.1" : "man8/navarch-node.8"}.gz`;
    const manual = gunzipSync(data.get(page)?.bytes ?? Buffer.alloc(0)).toString();
    expect(manual).toContain(`.SH NAME\n${name.replaceAll("-", "\\-")} \\- `);
    expect(manual).toContain(".SH EXIT STATUS");
  });

  test("keeps from others what is not theirs", () => {
    for (const [path, { mode }] of data) {
      if (path.startsWith("./etc/default/") && path !== "./etc/default/") expect(mode).toBe(0o600);
      if (/^\.\/etc\/navarch(-node)?\/$/.test(path)) expect(mode & 0o007).toBe(0);
      if (/^\.\/etc\/navarch(-node)?\/./.test(path)) expect(mode & 0o007).toBe(0);
    }
  });

  test("declares each file below /etc as one that dpkg asks about", () => {
    const below = [...data.values()].filter(
      (entry) => !entry.folder && entry.name.startsWith("./etc/"),
    );
    const declared = text("./conffiles").trim().split("\n").sort();
    expect(below.map((entry) => entry.name.slice(1)).sort()).toEqual(declared);
    expect(declared).toEqual([...PACKAGES[name].conffiles].sort());
  });

  test("lists the checksum of every file", () => {
    const listed = text("./md5sums").trim().split("\n");
    const files = [...data.values()].filter((entry) => !entry.folder);
    expect(listed).toHaveLength(files.length);
    for (const { name: path, bytes } of files) {
      const sum = createHash("md5").update(bytes).digest("hex");
      expect(listed).toContain(`${sum}  ${path.slice(2)}`);
    }
  });

  test("carries scripts that a plain shell reads and that stop at an error", () => {
    for (const script of SCRIPTS) {
      expect(control.get(`./${script}`)?.mode).toBe(0o755);
      const content = text(`./${script}`);
      expect(content).toStartWith("#!/bin/sh\n# ");
      expect(content).toContain("\nset -e\n");
      expect(content).not.toMatch(/\[\[|<\(|\bfunction |\blocal |==|&>|\becho -[en]/);
      // Nothing is started where systemd does not run.
      if (/systemctl daemon-reload|invoke (restart|stop)/.test(content)) {
        expect(content).toContain("[ -d /run/systemd/system ]");
      }
      const path = join(folder, `${name}-${script}`);
      writeFileSync(path, content);
      const checked = Bun.spawnSync(["sh", "-n", path]);
      expect(checked.stderr.toString()).toBe("");
    }
    const purge = text("./postrm");
    const unit = Object.keys(PACKAGES[name].files).find((path) => path.endsWith(".service")) ?? "";
    expect(purge).toContain(
      `/etc/systemd/system/multi-user.target.wants/${unit.split("/").at(-1)}`,
    );
    expect(purge).toContain(`rm -rf /var/lib/${name} /etc/${name}`);
  });
});

const TOOLS = "systemctl deb-systemd-invoke useradd userdel groupdel chgrp getent".split(" ");

/**
 * Each script run for real in a folder of its own, with stand-ins for what it calls, so that what it
 * does is seen and nothing of this machine is touched.
 */
describe.each(NAMES)("scripts of %s", (name) => {
  const unit = name === "navarch" ? "navarch-control-plane.service" : "navarch-node.service";
  const run = (script: string, words: string[], systemd: boolean) => {
    const root = mkdtempSync(join(folder, "root-"));
    const bin = join(root, "stand-in");
    mkdirSync(bin);
    if (systemd) mkdirSync(join(root, "run/systemd/system"), { recursive: true });
    const called = join(root, "called");
    writeFileSync(called, "");
    for (const tool of TOOLS) {
      const answer = tool === "getent" ? 'echo "navarch:x:1:1::/var/lib/navarch:/x"' : "exit 0";
      // Debian's own way to systemctl counts as that.
      const said = tool === "deb-systemd-invoke" ? "systemctl" : tool;
      writeFileSync(join(bin, tool), `#!/bin/sh\necho "${said} $*" >>"${called}"\n${answer}\n`);
      chmodSync(join(bin, tool), 0o755);
    }
    const source = readFileSync(join(ROOT, "build/deb", name, script), "utf8");
    const moved = source.replaceAll(/(?<![\w/])\/(run|etc|var|usr)\//g, `${root}/$1/`);
    const done = Bun.spawnSync(["sh", "-c", moved, script, ...words], {
      env: { PATH: `${bin}:/usr/bin:/bin` },
    });
    expect(done.stderr.toString()).toBe("");
    expect(done.exitCode).toBe(0);
    return readFileSync(called, "utf8")
      .trim()
      .split("\n")
      .filter((line) => line !== "");
  };

  test("start the unit on the first install, and restart it with a new version", () => {
    const first = run("postinst", ["configure", ""], true);
    expect(first).toContain(`systemctl enable --quiet ${unit}`);
    expect(first.at(-1)).toBe(`systemctl restart ${unit}`);
    const again = run("postinst", ["configure", "1.0"], true);
    expect(again.filter((line) => line.includes(" enable"))).toEqual([]);
    expect(again.at(-1)).toBe(`systemctl restart ${unit}`);
  });

  test("start nothing in an image, and enable it there", () => {
    const lines = run("postinst", ["configure", ""], false).filter((line) =>
      /systemctl/.test(line),
    );
    expect(lines).toEqual([`systemctl enable --quiet ${unit}`]);
  });

  test("stop the unit when the package goes, and not for an upgrade", () => {
    expect(run("prerm", ["remove"], true)).toEqual([`systemctl stop ${unit}`]);
    expect(run("prerm", ["upgrade", "2.0"], true)).toEqual([]);
    expect(run("prerm", ["remove"], false)).toEqual([]);
  });

  test("make no fuss about the other words that dpkg knows", () => {
    for (const word of [
      "upgrade",
      "failed-upgrade",
      "abort-install",
      "abort-upgrade",
      "disappear",
    ]) {
      expect(run("postrm", [word, "1.0"], true)).toEqual([]);
    }
    for (const word of ["abort-upgrade", "abort-remove", "abort-deconfigure"]) {
      expect(run("postinst", [word, "1.0"], true)).toEqual([]);
    }
  });
});

test("a purge of navarch-node leaves an agent of the installer its state", () => {
  const source = readFileSync(join(ROOT, "build/deb/navarch-node/postrm"), "utf8");
  const left = (program: boolean): boolean[] => {
    const root = mkdtempSync(join(folder, "root-"));
    const kept = ["var/lib/navarch-node/credential.json", "etc/navarch-node/environment"];
    const unit = "etc/systemd/system/navarch-node.service";
    const all = [...kept, unit, ...(program ? ["usr/local/bin/navarch-node"] : [])];
    for (const path of all) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), "", { mode: 0o755 });
    }
    const moved = source.replaceAll(/(?<![\w/])\/(run|etc|var|usr)\//g, `${root}/$1/`);
    expect(Bun.spawnSync(["sh", "-c", moved, "postrm", "purge"]).exitCode).toBe(0);
    return kept.map((path) => existsSync(join(root, path)));
  };
  expect([left(true), left(false)]).toEqual([
    [true, true],
    [false, false],
  ]);
});

describe("debianVersion()", () => {
  test("sorts a candidate before its release, and refuses what dpkg would", () => {
    expect(debianVersion("1.2.3")).toBe("1.2.3");
    expect(debianVersion("1.2.3-rc.1")).toBe("1.2.3~rc.1");
    for (const bad of ["", "v1", "1 2", "1_2"]) expect(() => debianVersion(bad)).toThrow("Debian");
  });
});

describe("architectureOf()", () => {
  test("believes the binary and nothing else", () => {
    expect(architectureOf(fakeBinary(62))).toBe("amd64");
    expect(architectureOf(fakeBinary(183))).toBe("arm64");
    expect(() => architectureOf(fakeBinary(8))).toThrow("x86-64 or arm64");
    expect(() => architectureOf(Buffer.from("#!/bin/sh\n"))).toThrow("no program");
    expect(() => architectureOf(new Uint8Array())).toThrow("no program");
  });
});

describe("build/deb.ts", () => {
  const make = (...args: string[]) =>
    Bun.spawnSync([process.execPath, "run", "build/deb.ts", ...args], {
      cwd: ROOT,
      env: { ...process.env, SOURCE_DATE_EPOCH: "1767225600" },
    });

  test("packs what is built and says what is not", () => {
    const binaries = join(folder, "binaries");
    const outdir = join(folder, "out");
    mkdirSync(binaries);
    writeFileSync(join(binaries, "navarch-node"), fakeBinary(62));
    const done = make("--binaries", binaries, "--outdir", outdir);
    expect(done.exitCode).toBe(1);
    expect(done.stderr.toString()).toStartWith("navarch: not packed: ");
    const [path = ""] = done.stdout.toString().split("  ");
    expect(path).toMatch(/navarch-node_[\d.]+_amd64\.deb$/);
    const { data } = unpack(readFileSync(join(outdir, path.split("/").at(-1) ?? "")));
    expect(data.get("./usr/bin/navarch-node")?.seconds).toBe(1_767_225_600);
  }, 20_000);

  test("names the flag that makes no sense", () => {
    const done = make("--only", "kernel");
    expect(done.exitCode).toBe(2);
    expect(done.stderr.toString()).toContain('found "kernel"');
  });
});

const isMissing = await missesPrograms("the packages as dpkg reads them", { "dpkg-deb": "dpkg" });

describe.skipIf(isMissing)("dpkg-deb", () => {
  test.each(NAMES)("reads the package %s", (name) => {
    const { fileName, bytes } = makeDeb(name, fakeBinary(62), EDITION);
    const path = join(folder, fileName);
    writeFileSync(path, bytes);
    const info = Bun.spawnSync(["dpkg-deb", "--info", path]);
    expect(info.stderr.toString()).toBe("");
    expect(info.stdout.toString()).toContain(`Package: ${name}`);
    const contents = Bun.spawnSync(["dpkg-deb", "--contents", path]).stdout.toString();
    expect(contents).toMatch(
      new RegExp(`-rwxr-xr-x root/root +\\d+ \\S+ \\S+ \\./usr/bin/${name}\n`),
    );
    expect(contents).toMatch(/drwx.-?.--- root\/root +0 \S+ \S+ \.\/etc\/navarch(-node)?\/\n/);
    const out = join(folder, `x-${name}`);
    expect(Bun.spawnSync(["dpkg-deb", "--extract", path, out]).stderr.toString()).toBe("");
    expect(readFileSync(join(out, "usr/bin", name))).toEqual(Buffer.from(fakeBinary(62)));
  });
});
