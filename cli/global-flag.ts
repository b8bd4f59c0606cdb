/** The flags that every command accepts, before or after its name. */
import type { Flag } from "./flag.ts";
import { SERVER_DEFAULT } from "./address.ts";
import { FORMATS } from "./show.ts";

export const TIMEOUT_DEFAULT = "30s";

export const GLOBAL_FLAGS: readonly Flag[] = [
  {
    name: "server",
    short: "s",
    kind: "text",
    env: ["NAVARCH_SERVER"],
    value: "ADDRESS",
    help: `control plane (default ${SERVER_DEFAULT})`,
  },
  {
    name: "output",
    short: "o",
    kind: "text",
    value: "FORM",
    values: FORMATS,
    help: "table, wide, json, jsonl, yaml or name (default table)",
  },
  {
    name: "timeout",
    kind: "text",
    value: "T",
    help: `limit of the command; while waiting, of each request (default ${TIMEOUT_DEFAULT})`,
  },
  {
    name: "token",
    kind: "text",
    env: ["NAVARCH_AUTH_TOKEN", "NAVARCH_TOKEN"],
    value: "T",
    help: "token; other users can see it, so prefer a file",
  },
  {
    name: "token-file",
    kind: "text",
    env: ["NAVARCH_AUTH_TOKEN_FILE", "NAVARCH_TOKEN_FILE"],
    value: "F",
    help: "file with the token (default ~/.config/navarch/token)",
  },
  {
    name: "state",
    kind: "text",
    value: "DIR",
    help: "state folder of a local control plane, to read its address and token",
  },
  {
    name: "ca-fingerprint",
    kind: "text",
    env: ["NAVARCH_CA_FINGERPRINT"],
    value: "SHA256",
    help: "sha256:… of the control plane's CA certificate; trusts no other CA",
  },
  {
    name: "ca-file",
    kind: "text",
    env: ["NAVARCH_CA_FILE"],
    value: "F",
    help: "PEM file with the CAs to trust instead of the system's",
  },
  {
    name: "client-cert-file",
    kind: "text",
    env: ["NAVARCH_CLIENT_CERT_FILE"],
    value: "F",
    help: "client certificate, if the server requires one",
  },
  {
    name: "client-key-file",
    kind: "text",
    env: ["NAVARCH_CLIENT_KEY_FILE"],
    value: "F",
    help: "private key of the client certificate",
  },
  { name: "insecure", kind: "switch", help: "skip verification of the server certificate" },
  { name: "no-color", kind: "switch", help: "disable colour (also: NO_COLOR)" },
  { name: "verbose", short: "v", kind: "switch", help: "log each request to standard error" },
  { name: "version", kind: "switch", help: "print the version (navarch version shows more)" },
  { name: "help", short: "h", kind: "switch", help: "show help for the command" },
];

/** The command's own flags replace global ones of the same name. */
export function withGlobal(own: readonly Flag[]): Flag[] {
  const names = new Set(own.map((flag) => flag.name));
  const shorts = new Set(own.map((flag) => flag.short));
  const rest = GLOBAL_FLAGS.filter((flag) => !names.has(flag.name));
  return [
    ...own,
    ...rest.map(({ short, ...flag }) =>
      short === undefined || shorts.has(short) ? flag : { ...flag, short },
    ),
  ];
}
