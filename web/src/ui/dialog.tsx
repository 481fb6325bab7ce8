import { type FormEvent, type ReactNode, useRef } from 'react';
import { Dialog as AriaDialog, Heading, Modal, ModalOverlay } from 'react-aria-components';
import { classes } from './classes.ts';
import styles from './dialog.module.css';

interface DialogProps {
  readonly title: string;
  readonly isOpen: boolean;
  readonly onClose: () => void;
  readonly children: ReactNode;
  readonly actions: ReactNode;
  readonly isWide?: boolean;
  /** True for a question that must be answered; a screen reader announces it at once. */
  readonly isAlert?: boolean;
  /** While the promise that it returns is pending, the form cannot be submitted again. */
  readonly onSubmit?: () => unknown;
}

export function Dialog({ title, isOpen, onClose, children, actions, isWide, isAlert, onSubmit }: DialogProps) {
  const isSubmitting = useRef(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    event.stopPropagation();
    if (isSubmitting.current) return;
    isSubmitting.current = true;
    try {
      await onSubmit?.();
    } finally {
      isSubmitting.current = false;
    }
  };
  return (
    <ModalOverlay
      className={styles.overlay}
      isOpen={isOpen}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      isDismissable={!isAlert}
    >
      <Modal className={classes(styles.modal, isWide && styles.wide)}>
        <AriaDialog className={styles.frame} role={isAlert ? 'alertdialog' : 'dialog'}>
          <form onSubmit={submit} className={styles.dialog} noValidate>
            <Heading slot="title" level={2} className={styles.title}>
              {title}
            </Heading>
            {children}
            <div className={styles.actions}>{actions}</div>
          </form>
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}
