/**
 * The manual page of `navarch-node`, from the table that its parser reads. Pure.
 */
import { FLAGS } from "../../agent/service/flag.ts";
import type { Flag } from "../../cli/flag.ts";
import { formatManual, type Imprint } from "../../cli/man.ts";

const FILES: readonly (readonly [string, string])[] = [
  ["/etc/default/navarch-node", "Settings of the service: variables of the flags above."],
  ["/etc/navarch-node/", "Credential of this node, authority and release key."],
  ["/var/lib/navarch-node/", "Findings that are not acknowledged yet (--spool)."],
  ["/dev/kmsg", "The kernel log, unless --kernel-log names another one."],
];

const STATUS: readonly (readonly [string, string])[] = [
  ["0", "Stopped, or with --once: healthy."],
  ["1", "Failed."],
  ["2", "Usage, or a setting that is not valid."],
  ["75", "Another release is in place: start again, which the service does."],
  ["10, 11, 12", "With --once: degraded, unhealthy, unknown."],
];

export function formatNodeManual(imprint: Imprint): string {
  return formatManual(
    {
      name: "navarch-node",
      section: 8,
      summary: "watch the GPUs of a node and report to Navarch",
      description: [
        "Reads NVML, the kernel log and the host, keeps what it finds on disk until the control " +
          "plane has acknowledged it, and reports. It decides nothing, and carries out a reboot " +
          "or a GPU reset only with --allow-commands and on a signed order.",
        "With --once it checks once, prints the result and ends; it needs no control plane.",
      ],
      flags: Object.entries(FLAGS).flatMap(([name, spec]) => flagOf(name, spec)),
      more: { FILES, "EXIT STATUS": STATUS },
      see: ["navarch(1)", "systemctl(1)"],
    },
    imprint,
  );
}

/** What a flag of the agent may say. */
type Spec = Partial<Record<"default" | "help" | "short" | "value", string>> & {
  kind: "text" | "list" | "switch";
  env?: readonly string[];
};

function flagOf(name: string, spec: Spec): Flag[] {
  const { default: preset, env, help, kind, short, value } = spec;
  if (help === undefined) return [];
  const known = preset === undefined ? help : `${help} (default ${preset})`;
  return [
    {
      name,
      kind: kind === "list" ? "texts" : kind,
      help: known,
      ...(env === undefined ? {} : { env }),
      ...(short === undefined ? {} : { short }),
      ...(value === undefined ? {} : { value }),
    },
  ];
}
