/**
 * Contents of the two Debian packages: `navarch-node`, the agent, and `navarch`, the control plane
 * and the command line. Control files, manual pages and completions are generated.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { COMMANDS } from "../../cli/command/catalog.ts";
import { formatBash } from "../../cli/completion-bash.ts";
import { formatFish } from "../../cli/completion-fish.ts";
import { formatZsh } from "../../cli/completion-zsh.ts";
import { tableOf } from "../../cli/completion.ts";
import { type Imprint, manPages } from "../../cli/man.ts";
import { type TarEntry, encodeDeb, withFolders } from "./archive.ts";
import { formatNodeManual } from "./node-manual.ts";

const ROOT = join(import.meta.dir, "../..");

type Content = { from: string; mode?: number };

export type PackageName = "navarch-node" | "navarch";

type Description = {
  depends: string;
  summary: string;
  details: readonly string[];
  /** Paths in the package, without the leading `./`; the binary is not among them. */
  files: Readonly<Record<string, Content>>;
  /** Directories with restricted modes. */
  folders: Readonly<Record<string, number>>;
  conffiles: readonly string[];
};

/** Where systemd and Debian's own packages look for units of packages. */
const UNITS = "usr/lib/systemd/system";

export const PACKAGES: Readonly<Record<PackageName, Description>> = {
  "navarch-node": {
    // What the compiled runtime needs; the driver's library is found at run time or reported.
    depends: "libc6 (>= 2.17)",
    summary: "agent that watches the GPUs of a node",
    details: [
      "Reads NVML and the kernel log, keeps what it finds on disk until it is",
      "acknowledged, and reports to a Navarch control plane. Its settings are in",
      "/etc/default/navarch-node, its credential is /etc/navarch-node/token.",
    ],
    files: {
      [`${UNITS}/navarch-node.service`]: { from: "systemd/navarch-node.service" },
      "etc/default/navarch-node": { from: "build/deb/navarch-node/default", mode: 0o600 },
      "usr/share/doc/navarch-node/examples/allow-commands.conf": {
        from: "systemd/allow-commands.conf",
      },
      "usr/share/doc/navarch-node/copyright": { from: "build/deb/copyright" },
    },
    folders: { "./etc/navarch-node/": 0o700 },
    conffiles: ["/etc/default/navarch-node"],
  },
  navarch: {
    // libgcc is for the database's native part, passwd makes the user.
    depends: "libc6 (>= 2.17), libgcc-s1, passwd",
    summary: "control plane of GPU fleets, and its command line",
    details: [
      "Keeps fleets of GPU instances at their wanted size and in health: buys,",
      "watches, drains and replaces. Its configuration is /etc/navarch/config.yaml,",
      "its secrets are in /etc/default/navarch-control-plane, its database is in",
      "/var/lib/navarch.",
    ],
    files: {
      [`${UNITS}/navarch-control-plane.service`]: { from: "systemd/navarch-control-plane.service" },
      "etc/default/navarch-control-plane": { from: "build/deb/navarch/default", mode: 0o600 },
      "etc/navarch/config.yaml": { from: "build/deb/navarch/config.yaml", mode: 0o640 },
      "usr/share/doc/navarch/examples/credential.conf": { from: "systemd/credential.conf" },
      "usr/share/doc/navarch/copyright": { from: "build/deb/copyright" },
    },
    // The package's scripts give it to the group that the control plane runs as.
    folders: { "./etc/navarch/": 0o750 },
    conffiles: ["/etc/default/navarch-control-plane", "/etc/navarch/config.yaml"],
  },
};

export const SCRIPTS = ["postinst", "prerm", "postrm"] as const;

/** `version` as package.json has it; `seconds` since the epoch dates everything inside. */
export type Edition = { version: string; seconds: number };

export type Deb = { fileName: string; bytes: Uint8Array<ArrayBuffer> };

/** Throws if the binary or the version cannot be packed. */
export function makeDeb(name: PackageName, binary: Uint8Array, edition: Edition): Deb {
  const architecture = architectureOf(binary);
  const version = debianVersion(edition.version);
  const { seconds } = edition;
  const files = filesOf(name, binary, edition);
  const data = withFolders(files, PACKAGES[name].folders);
  const bytes = encodeDeb(controlOf(name, { version, architecture, files }), data, seconds);
  return { fileName: `${name}_${version}_${architecture}.deb`, bytes };
}

function filesOf(name: PackageName, binary: Uint8Array, edition: Edition): TarEntry[] {
  const read = (from: string) => readFileSync(join(ROOT, from));
  const { files } = PACKAGES[name];
  const imprint = imprintOf(edition);
  return [
    ...manualsOf(name, imprint),
    ...(name === "navarch" ? completions() : []),
    { name: `./usr/bin/${name}`, bytes: binary, mode: 0o755 },
    {
      name: `./usr/share/doc/${name}/changelog.gz`,
      bytes: gzipSync(read("CHANGELOG.md"), { level: 9 }),
      mode: 0o644,
    },
    ...Object.entries(files).map(([path, { from, mode }]) => {
      return { name: `./${path}`, bytes: read(from), mode: mode ?? 0o644 };
    }),
  ];
}

function imprintOf({ version, seconds }: Edition): Imprint {
  return { version, date: new Date(seconds * 1_000).toISOString().slice(0, 10) };
}

const shared = (path: string, bytes: Uint8Array): TarEntry => {
  return { name: `./usr/share/${path}`, bytes, mode: 0o644 };
};

/** Where man-db looks. */
function manualsOf(name: PackageName, imprint: Imprint): TarEntry[] {
  const node = new Map([["navarch-node.8", formatNodeManual(imprint)]]);
  const pages = name === "navarch" ? manPages(COMMANDS, imprint) : node;
  return [...pages].map(([page, text]) => {
    return shared(`man/man${page.slice(-1)}/${page}.gz`, gzipSync(text, { level: 9 }));
  });
}

/** Where the shells of Debian look. */
function completions(): TarEntry[] {
  const table = tableOf(COMMANDS);
  return [
    shared("bash-completion/completions/navarch", Buffer.from(formatBash(table))),
    shared("zsh/vendor-completions/_navarch", Buffer.from(formatZsh(table))),
    shared("fish/vendor_completions.d/navarch.fish", Buffer.from(formatFish(table))),
  ];
}

type Parts = { version: string; architecture: string; files: readonly TarEntry[] };

function controlOf(name: PackageName, parts: Parts): TarEntry[] {
  const { conffiles } = PACKAGES[name];
  const text = (path: string, content: string): TarEntry => {
    return { name: `./${path}`, bytes: Buffer.from(content), mode: 0o644 };
  };
  const scripts = SCRIPTS.map((script) => {
    const bytes = readFileSync(join(ROOT, "build/deb", name, script));
    return { name: `./${script}`, bytes, mode: 0o755 };
  });
  const sums = parts.files.map((file) => `${md5(file.bytes)}  ${file.name.slice(2)}`).sort(byPath);
  return withFolders(
    [
      text("control", formatControl(name, parts)),
      text("conffiles", `${conffiles.join("\n")}\n`),
      text("md5sums", `${sums.join("\n")}\n`),
      ...scripts,
    ],
    {},
  );
}

/** deb-control(5). */
function formatControl(name: PackageName, { version, architecture, files }: Parts): string {
  const { depends, summary, details } = PACKAGES[name];
  const kibibytes = files.reduce((sum, { bytes }) => sum + Math.ceil(bytes.length / 1_024), 0);
  return [
    `Package: ${name}`,
    `Version: ${version}`,
    `Architecture: ${architecture}`,
    "Maintainer: The Navarch authors <packages@navarch.dev>",
    `Installed-Size: ${kibibytes}`,
    `Depends: ${depends}`,
    "Section: admin",
    "Priority: optional",
    `Description: ${summary}`,
    ...details.map((line) => ` ${line}`),
    "",
  ].join("\n");
}

const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");
const byPath = (a: string, b: string): number => (a.slice(34) < b.slice(34) ? -1 : 1);

/** `~` sorts a release candidate before its release; `-` would start a revision. */
export function debianVersion(version: string): string {
  const debian = version.replaceAll("-", "~");
  if (/^\d[A-Za-z0-9.+~]*$/.test(debian)) return debian;
  throw new Error(`${JSON.stringify(version)} cannot be a Debian version`);
}

/** `e_machine` of elf(5). */
const MACHINES: Readonly<Record<number, string>> = { 62: "amd64", 183: "arm64" };

/** Debian's name of the binary's processor. */
export function architectureOf(binary: Uint8Array): string {
  const magic = Buffer.from(binary.subarray(0, 4)).toString("latin1");
  const machine = magic === "\x7fELF" ? (binary[18] ?? 0) + (binary[19] ?? 0) * 256 : 0;
  const architecture = MACHINES[machine];
  if (architecture === undefined) {
    throw new Error("the binary is no program for x86-64 or arm64");
  }
  return architecture;
}
