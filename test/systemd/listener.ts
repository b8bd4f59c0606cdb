/**
 * The service manager's end of the notification socket: a real unix datagram socket, read without
 * waiting. Adapter: libc.
 */
import { dlopen } from "bun:ffi";
import { encodeAddress } from "../../systemd/notify.ts";

export type Listener = {
  /** The next message, or `null` if none is there. */
  next(): string | null;
  close(): void;
};

/** `recv` gives up at once rather than wait: MSG_DONTWAIT of x86-64 and arm64. */
const DONTWAIT = 0x40;

/** Binds `/path` or `@name`; throws if it is taken. */
export function listen(address: string): Listener {
  const { symbols: libc } = dlopen("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
    recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
  });
  const fd = libc.socket(1, 0o2_000_002, 0);
  const target = encodeAddress(address);
  if (target === null || libc.bind(fd, target, target.length) !== 0) {
    throw new Error(`cannot listen at ${address}`);
  }
  const buffer = Buffer.alloc(4_096);
  return {
    next: () => {
      const size = Number(libc.recv(fd, buffer, buffer.length, DONTWAIT));
      return size < 0 ? null : buffer.toString("utf8", 0, size);
    },
    close: () => void libc.close(fd),
  };
}
