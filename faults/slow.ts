import { connect, type Socket } from 'node:net';

/** A crowd of slow clients, all slow in the same way. */
export interface Crowd {
  /** How many of their connections the service has ended so far. */
  readonly ended: () => number;
  leave(): void;
}

export interface Dawdler {
  /** Sent at once. */
  readonly opening: string;
  /** Sent piece by piece, for ever. */
  readonly drip?: string;
  readonly every?: number;
  /** Never reads. */
  readonly deaf?: boolean;
  /** Milliseconds until the answers have filled the buffers on the way, and the clients only block. */
  readonly settled?: number;
}

export function sendCrowd(port: number, count: number, { opening, drip, every = 500, deaf = false }: Dawdler): Crowd {
  const sockets = new Set<Socket>();
  let ended = 0;
  let leaving = false;

  function come(): void {
    const socket = connect({ port, host: '127.0.0.1' });
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('connect', () => socket.write(opening));
    if (deaf) socket.pause();
    else socket.resume();
    socket.on('close', () => {
      sockets.delete(socket);
      if (leaving) return;
      ended++;
      setTimeout(() => leaving || come(), 100);
    });
  }

  for (let i = 0; i < count; i++) come();
  const timer =
    drip === undefined ? undefined : setInterval(() => sockets.forEach((one) => void one.write(drip)), every);
  return {
    ended: () => ended,
    leave() {
      leaving = true;
      clearInterval(timer);
      for (const socket of sockets) socket.destroy();
    },
  };
}
