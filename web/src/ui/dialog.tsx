import type { FormEvent, ReactNode } from 'react';
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
  /** Where it asks a question that has to be answered; a screen reader says it at once. */
  readonly isAlert?: boolean;
  readonly onSubmit?: () => void;
}

export function Dialog({ title, isOpen, onClose, children, actions, isWide, isAlert, onSubmit }: DialogProps) {
  const submit = (event: FormEvent) => {
    event.preventDefault();
    event.stopPropagation();
    onSubmit?.();
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
