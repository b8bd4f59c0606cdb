/**
 * Formats the installer that a control plane serves: `install.sh` with three lines filled in. The
 * values are in single quotes of a script that runs as root, so a value that could end a quote is
 * refused, not escaped. Pure.
 */
import unit from "../../systemd/navarch-node.service" with { type: "text" };
import text from "./install.sh" with { type: "text" };

export type InstallerValues = {
  /** URL of the control plane, without a path; `null` = the user must pass it. */
  server: string | null;
  /** The release key: SPKI, base64, one line. */
  key: string;
  /** Version and SHA-256 (hex) of the newest local `SHA256SUMS`; `null` = no release here. */
  sums: { version: string; sha256: string } | null;
};

export const INSTALLER: string = text;
/** The systemd unit for a release folder that has none. */
export const NODE_UNIT: string = unit;

/** Scheme, then a name, an IPv4 address or an IPv6 address in brackets, then a port. */
const SERVER = /^https?:\/\/([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$/;
const EMPTY = /^(SERVER_DEFAULT|RELEASE_KEY|RELEASE_SUMS)=''$/gm;
const KEY = /^[A-Za-z0-9+/]+={0,2}$/;
const VERSION = /^[0-9A-Za-z][0-9A-Za-z.+~-]*$/;
const SHA256 = /^[0-9a-f]{64}$/;

/** True for an address that may stand in the script. */
export function isInstallerServer(server: string): boolean {
  return SERVER.test(server);
}

/** Throws on a bug: a value of another form, or a script without one of its three lines. */
export function formatInstaller(values: InstallerValues, script: string = INSTALLER): string {
  const { server, key, sums } = values;
  const filled: [string, string, boolean][] = [
    ["SERVER_DEFAULT", server ?? "", server === null || SERVER.test(server)],
    ["RELEASE_KEY", key, KEY.test(key)],
    [
      "RELEASE_SUMS",
      sums === null ? "" : `${sums.version} ${sums.sha256}`,
      sums === null || (VERSION.test(sums.version) && SHA256.test(sums.sha256)),
    ],
  ];
  const left = new Map<string, string>();
  for (const [name, value, sound] of filled) {
    if (!sound) throw new Error(`${name}: ${JSON.stringify(value)} may not stand in a script`);
    left.set(name, value);
  }
  // One copy of the script: anybody may ask for it, a thousand times at once.
  const out = script.replace(EMPTY, (line, name: string) => {
    const value = left.get(name);
    if (value === undefined) throw new Error(`expected one line ${line} in install.sh`);
    left.delete(name);
    return `${name}='${value}'`;
  });
  for (const name of left.keys()) throw new Error(`expected one line ${name}='' in install.sh`);
  return out;
}
