/** A pipe whose other end everybody holds who may need this supervisor: httpd's parent and its children. */
import { Socket } from 'node:net';

/** Calls `onEnd` once, when the last of them is gone. */
export function watchLifeline(fd: number, onEnd: () => void): void {
  const pipe = new Socket({ fd, readable: true, writable: false });
  pipe.on('error', () => undefined); // 'close' follows
  pipe.once('close', onEnd);
  pipe.resume();
}
