/**
 * Notifies the service manager, sd_notify(3): readiness, status and progress of a program. Without
 * `NOTIFY_SOCKET` nothing is loaded. Nothing here waits or throws: the answer says whether a
 * notification was delivered.
 *
 * Adapter: a unix datagram socket of libc, because the runtime has none of that kind.
 */
import { dlopen } from "bun:ffi";

/** One notification; sd_notify(3) describes each field. */
export type Notice = {
  /** Start-up is complete: `systemctl start` returns. */
  ready?: true;
  /** Configuration is being read again; the value is CLOCK_MONOTONIC in microseconds. */
  reloadingAtUs?: number;
  /** Keep-alive. Never sent by a bare timer: a stuck program must not send it. */
  watchdog?: true;
  stopping?: true;
  /** One line for `systemctl status`. */
  status?: string;
};

export type ServiceManager = {
  /** The longest time between keep-alives; `null`: no watchdog. */
  watchdogMs: number | null;
  /** True if delivered; false if the manager's queue is full. */
  notify(notice: Notice): boolean;
};

/** Variables of the manager (systemd.exec(5), sd_watchdog_enabled(3)). */
export type ManagerEnv = {
  NOTIFY_SOCKET?: string | undefined;
  WATCHDOG_USEC?: string | undefined;
  WATCHDOG_PID?: string | undefined;
};

export type ManagerAnswer =
  /** Not started by systemd. */
  | { kind: "none" }
  | { kind: "manager"; manager: ServiceManager }
  /** The manager expects notifications that cannot be sent. */
  | { kind: "failed"; message: string };

/** Size of `sun_path` in unix(7), including the terminating zero of a path. */
const PATH_BYTES_MAX = 108;
/** `systemctl status` cuts off longer lines. */
const STATUS_LENGTH_MAX = 240;

/** glibc, then musl by architecture; the process has one of them loaded. */
const LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];
const SIGNATURES = {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
} as const;
/** `<bits/socket.h>` of x86-64 and arm64 Linux, which agree on all of these. */
const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0o2_000_002;
/** No SIGPIPE if the manager is gone, and no wait if its queue is full. */
const MSG_NOSIGNAL_DONTWAIT = 0x4040;

/** Opens the connection to the manager that started the process `pid`. */
export function openServiceManager(env: ManagerEnv, pid: number): ManagerAnswer {
  const { NOTIFY_SOCKET: socket = "" } = env;
  if (socket === "") return { kind: "none" };
  const address = encodeAddress(socket);
  if (address === null) return { kind: "failed", message: "NOTIFY_SOCKET is no unix address" };
  try {
    const send = openSocket();
    const notify = (notice: Notice) => send(Buffer.from(formatNotice(notice)), address);
    return { kind: "manager", manager: { watchdogMs: readWatchdog(env, pid), notify } };
  } catch (cause) {
    // Without the runtime's JIT, or without libc, no libc function can be called.
    return { kind: "failed", message: cause instanceof Error ? cause.message : String(cause) };
  }
}

/** Milliseconds of the watchdog, or `null` if it is off or meant for another process. */
export function readWatchdog(env: ManagerEnv, pid: number): number | null {
  const { WATCHDOG_USEC: usec = "", WATCHDOG_PID: whose = "" } = env;
  if (!/^[1-9]\d{0,15}$/.test(usec)) return null;
  if (whose !== "" && whose !== String(pid)) return null;
  return Number(usec) / 1_000;
}

/** One field a line; a line end in the status would begin another field. */
export function formatNotice(notice: Notice): string {
  const { ready, reloadingAtUs, watchdog, stopping, status } = notice;
  const lines: string[] = [];
  if (reloadingAtUs !== undefined) {
    lines.push("RELOADING=1", `MONOTONIC_USEC=${Math.round(reloadingAtUs)}`);
  }
  if (ready) lines.push("READY=1");
  if (stopping) lines.push("STOPPING=1");
  if (status !== undefined) {
    lines.push(`STATUS=${status.replaceAll(/\s+/g, " ").trim().slice(0, STATUS_LENGTH_MAX)}`);
  }
  if (watchdog) lines.push("WATCHDOG=1");
  return lines.join("\n");
}

/**
 * `sockaddr_un` of unix(7): family, then a path with its zero, or for `@name` a zero and the name,
 * whose end is the end of the address. `null` if it is neither, or too long.
 */
export function encodeAddress(socket: string): Buffer | null {
  const abstract = socket.startsWith("@");
  if (!abstract && !socket.startsWith("/")) return null;
  const name = Buffer.from(abstract ? `\0${socket.slice(1)}` : `${socket}\0`);
  if (name.length > PATH_BYTES_MAX) return null;
  return Buffer.concat([new Uint8Array(new Uint16Array([AF_UNIX]).buffer), name]);
}

/** Throws without libc, foreign calls or a socket. */
function openSocket(): (text: Buffer, address: Buffer) => boolean {
  const { socket, sendto } = openLibc();
  const fd = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  if (fd < 0) throw new Error("cannot open a unix datagram socket");
  return (text, address) => {
    const sent = sendto(fd, text, text.length, MSG_NOSIGNAL_DONTWAIT, address, address.length);
    return Number(sent) === text.length;
  };
}

function openLibc() {
  const problems: string[] = [];
  for (const name of LIBRARIES) {
    try {
      return dlopen(name, SIGNATURES).symbols;
    } catch (cause) {
      problems.push(cause instanceof Error ? cause.message : String(cause));
    }
  }
  throw new Error(problems[0] ?? "no libc");
}
