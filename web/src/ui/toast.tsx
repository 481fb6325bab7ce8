import { createContext, type ReactNode, useCallback, useContext, useState } from 'react';
import { useSpeech } from '../i18n/language.ts';
import { Button } from './button.tsx';
import { Icon } from './icons.tsx';
import styles from './toast.module.css';

interface Toast {
  readonly id: number;
  readonly text: string;
  readonly action?: { readonly text: string; readonly run: () => void };
}

export type Say = (text: string, action?: Toast['action']) => void;

const ToastContext = createContext<Say>(() => {});

/** Shows what has just been done, and offers to undo it. */
export const useSay = (): Say => useContext(ToastContext);

const shown = 3;

/** Toasts stay until they are closed or pushed out by newer ones: one that offers an undo must not vanish while it is read. */
export function Toasts({ children }: { readonly children: ReactNode }) {
  const { text } = useSpeech();
  const [toasts, setToasts] = useState<readonly Toast[]>([]);
  const say = useCallback<Say>((words, action) => {
    setToasts((old) => [...old, { id: (old.at(-1)?.id ?? 0) + 1, text: words, action }].slice(-shown));
  }, []);
  const close = (id: number) => setToasts((old) => old.filter((toast) => toast.id !== id));
  return (
    <ToastContext value={say}>
      {children}
      <div className={styles.region} role="status" aria-live="polite">
        {toasts.map(({ id, text: words, action }) => (
          <div key={id} className={styles.toast}>
            <span className={styles.text}>{words}</span>
            {action && (
              <Button
                isSmall
                onPress={() => {
                  close(id);
                  action.run();
                }}
              >
                <Icon name="undo" /> {action.text}
              </Button>
            )}
            <Button look="quiet" isSmall isIcon aria-label={text('close')} onPress={() => close(id)}>
              <Icon name="close" />
            </Button>
          </div>
        ))}
      </div>
    </ToastContext>
  );
}
